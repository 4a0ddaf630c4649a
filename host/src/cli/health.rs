use super::AdminOption;
use super::client::Client;

/// Prints what `GET /healthz` says.
///
/// # Errors
/// Where a part is away, or nobody answers.
pub(super) async fn run(admin: &AdminOption) -> anyhow::Result<()> {
    let health: serde_json::Value = Client::new(admin).get("/healthz", &[]).await?;
    println!("{health}");
    Ok(())
}
