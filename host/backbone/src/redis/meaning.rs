//! What an error of Redis means, by the word that it begins with.

use redis::RedisError;

/// What an error says about the call, the connection and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nobody answered: the connection is gone, and others may be gone with it.
    Lost,
    /// The server answers and is no place to write, though its connections stay
    /// open: another one may have its name by now.
    NoPrimary,
    /// The server is busy with something that ends.
    Busy,
    /// Its memory is used up.
    Full,
    /// The consumer group, or the stream itself, is missing.
    NoGroup,
    /// It refuses this call, and the same call later, until somebody changes
    /// something.
    Never,
}

/// The words that mean anything but [`Meaning::Never`]. All of them:
/// <https://github.com/redis/redis/blob/7.2/src/server.c> (`createSharedObjects`)
/// and the commands of replication, clusters and scripts.
const WORDS: [(&str, Meaning); 18] = [
    // A replica, or a primary whose replicas are away.
    ("READONLY", Meaning::NoPrimary),
    ("MASTERDOWN", Meaning::NoPrimary),
    ("NOMASTERLINK", Meaning::NoPrimary),
    ("NOREPLICAS", Meaning::NoPrimary),
    // A read that blocked while its server became a replica.
    ("UNBLOCKED", Meaning::NoPrimary),
    ("LOADING", Meaning::NoPrimary),
    // It cannot save to its disk, and takes no writes until it can.
    ("MISCONF", Meaning::NoPrimary),
    ("IOERR", Meaning::NoPrimary),
    ("CLUSTERDOWN", Meaning::NoPrimary),
    ("NOQUORUM", Meaning::NoPrimary),
    ("NOGOODSLAVE", Meaning::NoPrimary),
    // A script of somebody else runs for long.
    ("BUSY", Meaning::Busy),
    ("INPROG", Meaning::Busy),
    ("TRYAGAIN", Meaning::Busy),
    // Only for as long as the script is sent again.
    ("NOSCRIPT", Meaning::Busy),
    ("OOM", Meaning::Full),
    ("NOGROUP", Meaning::NoGroup),
    ("UNKILLABLE", Meaning::Busy),
];

impl Meaning {
    pub fn of(error: &RedisError) -> Self {
        let lost = error.is_io_error()
            || error.is_timeout()
            || error.is_connection_dropped()
            || error.is_connection_refusal();
        if lost {
            return Self::Lost;
        }
        let code = error.code().unwrap_or_default();
        if let Some((_, meaning)) = WORDS.iter().find(|(word, _)| *word == code) {
            return *meaning;
        }
        let text = error.to_string();
        // A script tells it within an error of its own, and XINFO speaks of the
        // key where the stream itself is missing.
        match text.contains("NOGROUP") || text.contains("no such key") {
            true => Self::NoGroup,
            false => Self::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(said: &str) -> Meaning {
        let answer = format!("-{said}\r\n");
        let value = redis::parse_redis_value(answer.as_bytes()).unwrap();
        let error = value.extract_error().unwrap_err();
        Meaning::of(&error)
    }

    #[test]
    fn every_word_that_an_error_begins_with_means_one_thing() {
        let said = [
            (
                "READONLY You can't write against a read only replica.",
                Meaning::NoPrimary,
            ),
            (
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
                Meaning::NoPrimary,
            ),
            (
                "NOREPLICAS Not enough good replicas to write.",
                Meaning::NoPrimary,
            ),
            (
                "LOADING Redis is loading the dataset in memory",
                Meaning::NoPrimary,
            ),
            (
                "MISCONF Errors writing to the AOF file: No space left on device",
                Meaning::NoPrimary,
            ),
            (
                "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
                Meaning::NoPrimary,
            ),
            ("CLUSTERDOWN The cluster is down", Meaning::NoPrimary),
            (
                "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
                Meaning::Busy,
            ),
            (
                "TRYAGAIN Multiple keys request during rehashing of slot",
                Meaning::Busy,
            ),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Meaning::Full,
            ),
            (
                "NOGROUP No such key 'x' or consumer group 'workers'",
                Meaning::NoGroup,
            ),
            ("ERR no such key", Meaning::NoGroup),
            (
                "READONLY You can't write against a read only replica. script: 1af3, on @user_script:7.",
                Meaning::NoPrimary,
            ),
            (
                "WRONGTYPE Operation against a key holding the wrong kind of value",
                Meaning::Never,
            ),
            (
                "ERR value is not an integer or out of range script: 1af3, on @user_script:7.",
                Meaning::Never,
            ),
            (
                "NOPERM this user has no permissions to run the 'info' command",
                Meaning::Never,
            ),
            ("NOAUTH Authentication required.", Meaning::Never),
            (
                "WRONGPASS invalid username-password pair or user is disabled.",
                Meaning::Never,
            ),
            (
                "CROSSSLOT Keys in request don't hash to the same slot",
                Meaning::Never,
            ),
            (
                "EXECABORT Transaction discarded because of previous errors.",
                Meaning::Never,
            ),
            ("SOMETHING new", Meaning::Never),
        ];
        for (said, expected) in said {
            assert_eq!(meaning(said), expected, "{said}");
        }
    }

    #[test]
    fn a_connection_that_is_gone_is_lost() {
        let gone = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(Meaning::of(&RedisError::from(gone)), Meaning::Lost);
    }
}
