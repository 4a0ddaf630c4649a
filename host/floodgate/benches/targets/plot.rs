//! P6 as a picture.

use std::path::Path;

use hdrhistogram::Histogram;
use plotters::prelude::*;

use super::latency::Latency;

/// Latency by quantile, both on logarithmic scales.
pub fn draw(latency: &Latency, per_second: f64, path: &Path) -> anyhow::Result<()> {
    let area = SVGBackend::new(path, (800, 420)).into_drawing_area();
    area.fill(&WHITE)?;
    let caption = format!("latency at a constant {per_second:.0} requests a second");
    let mut chart = ChartBuilder::on(&area)
        .caption(caption, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(
            (1.0..10_000.0_f64).log_scale(),
            (0.1..1000.0_f64).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("quantile")
        .y_desc("milliseconds")
        .x_labels(5)
        .x_label_formatter(&|x| format!("{}", 1.0 - 1.0 / x))
        .draw()?;
    let lines = [
        ("answered", &latency.accepted, BLUE),
        ("decision stored", &latency.stored, RED),
    ];
    for (name, histogram, colour) in lines {
        chart
            .draw_series(LineSeries::new(points(histogram), &colour))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}

/// (1 / (1 - quantile), milliseconds)
fn points(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let steps = (0..=80).map(|step| 10_f64.powf(f64::from(step) / 20.0));
    let point = |x: f64| {
        let micros = histogram.value_at_quantile(1.0 - 1.0 / x);
        (x, (micros as f64 / 1000.0).max(0.1))
    };
    steps.map(point).collect()
}
