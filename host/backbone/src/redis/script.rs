use redis::aio::MultiplexedConnection;
use redis::{
    Cmd, ErrorKind, FromRedisValue, RedisResult, Script, ScriptInvocation, ServerErrorKind,
    ToRedisArgs,
};

/// Makes a script of a file in `lua/`, behind the library that all of them use.
macro_rules! script {
    ($name:literal) => {
        ::redis::Script::new(concat!(
            include_str!("lua/library.lua"),
            include_str!(concat!("lua/", $name, ".lua")),
        ))
    };
}
pub(super) use script;

/// A script with its arguments; it may be run more than once.
pub(super) trait Invoke {
    async fn invoke<T: FromRedisValue>(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<T>;
}

impl Invoke for ScriptInvocation<'_> {
    async fn invoke<T: FromRedisValue>(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<T> {
        self.invoke_async(connection).await
    }
}

/// A call of a script with hundreds of arguments: a `ScriptInvocation` keeps
/// each in an allocation of its own and copies them all when it is sent.
pub(super) struct Call<'s> {
    script: &'s Script,
    command: Cmd,
}

impl<'s> Call<'s> {
    /// The first `keys` of its arguments are keys. There is room for `args` of
    /// them, with `bytes` in all.
    pub fn of(script: &'s Script, keys: usize, args: usize, bytes: usize) -> Self {
        let mut command = Cmd::with_capacity(3 + args, bytes);
        command.arg("EVALSHA").arg(script.get_hash()).arg(keys);
        Self { script, command }
    }

    pub fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        self.command.arg(arg);
        self
    }
}

impl Invoke for Call<'_> {
    async fn invoke<T: FromRedisValue>(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<T> {
        match self.command.query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.script.load_async(connection).await?;
                self.command.query_async(connection).await
            }
            answer => answer,
        }
    }
}
