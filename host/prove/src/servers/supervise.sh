# usage: sh supervise.sh DIRECTORY SIGNAL COMMAND...
#
# Runs COMMAND and ends as it does. Whoever started this holds the other end of
# stdin: when that closes, because that process ended in whatever way,
# COMMAND gets SIGNAL and DIRECTORY is removed.
directory=$1
signal=$2
shift 2
exec 3<&0

"$@" </dev/null 3<&- &
pid=$!
echo "$pid" >"$directory/.pid.new"
mv "$directory/.pid.new" "$directory/.pid"

{
    cat <&3 >/dev/null
    : >"$directory/.abandoned"
    kill -s CONT "$pid"
    # Again and again: a server that is just starting may ignore it still.
    while kill -s "$signal" "$pid"; do
        sleep 0.1
    done
} 2>/dev/null &
watchdog=$!
exec 3<&-

wait "$pid"
status=$?
rm -f "$directory/.pid"
kill "$watchdog" 2>/dev/null
if [ -e "$directory/.abandoned" ]; then
    # Empties it where another user's directory is around it.
    rm -rf "$directory" 2>/dev/null
fi
exit "$status"
