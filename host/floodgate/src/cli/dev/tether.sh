# usage: sh tether.sh COMMAND...
#
# Runs COMMAND and ends as it does. Whoever started this holds the other end of
# stdin: when that closes, because that process ended in whatever way, COMMAND is
# told to end, and made to where it does not.
exec 3<&0
# What it keeps is for nobody but this user.
umask 077

"$@" </dev/null 3<&- &
pid=$!

{
    cat <&3
    kill "$pid"
    sleep 10
    kill -s KILL "$pid"
} >/dev/null 2>&1 &
watchdog=$!
exec 3<&-

wait "$pid"
status=$?
kill "$watchdog" 2>/dev/null
exit "$status"
