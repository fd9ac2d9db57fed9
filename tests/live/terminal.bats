# An interactive bash, driven through tmux: the sandbox has a terminal of its own, with job control.

load lib

setup_test() {
    need_command tmux
    session=sandboxd-test-$$-$BATS_TEST_NUMBER
    mkdir -m 700 "$work/user/tmux" "$work/root/tmux"
    give user "$work/user/tmux"
}

teardown_test() {
    tm kill-server 2> /dev/null || :
}

tm() {
    as "${person:-user}" env "TMUX_TMPDIR=$work/${person:-user}/tmux" TERM=screen tmux -L "$session" -f /dev/null "$@"
}

# screen_has TEXT: what is on the screen, lines that were too long joined.
screen_has() {
    tm capture-pane -p -J -t main | grep -qE -- "$1"
}

sees() {
    eventually screen_has "$1" || {
        tm capture-pane -p -J -t main
        return 1
    }
}

# terminal WHO COMMAND…: a terminal of 80 by 24 that runs it.
terminal() {
    person=$1
    shift
    tm new-session -d -s main -x 80 -y 24 "$@" 3>&-
}

sandboxed_bash() {
    folder "$1"
    terminal "$1" "PS1='outside> ' '$SANDBOXCTL' exec --policy '$(policy "$2" shell)' --env PS1='in> ' -- bash --norc --noprofile -i; echo code \$?; sleep 100"
    sees '^in>'
}

session() {
    sandboxed_bash "$1" "$2"
    tm send-keys -t main 'tty; stty size; echo $((6 * 7))' Enter
    sees '^42'
    sees '^24 80'
    sees '^/dev/pts/'

    # Ctrl-C ends the command in the foreground, and bash goes on.
    tm send-keys -t main 'sleep 100; echo code $?' Enter
    sleep 0.5
    tm send-keys -t main C-c
    tm send-keys -t main 'echo still here' Enter
    sees '^still here'

    # Ctrl-Z stops it; fg continues it.
    tm send-keys -t main 'clear; cat' Enter
    sleep 0.5
    tm send-keys -t main C-z
    sees 'Stopped +cat'
    tm send-keys -t main 'fg' Enter
    sleep 0.3
    tm send-keys -t main 'echoed by cat' Enter
    sees '^echoed by cat'
    tm send-keys -t main C-d

    # The window's size is passed on.
    tm resize-window -t main -x 100 -y 30
    sleep 0.5
    tm send-keys -t main 'clear; stty size' Enter
    sees '^30 100'

    tm send-keys -t main 'exit 7' Enter
    sees '^code 7'
}

@test "an interactive bash, with Ctrl-C and Ctrl-Z: user, view" { session user view; }
@test "an interactive bash, with Ctrl-C and Ctrl-Z: user, broker" { session user broker; }
@test "an interactive bash, with Ctrl-C and Ctrl-Z: root, view" { session root view; }
@test "an interactive bash, with Ctrl-C and Ctrl-Z: root, broker" { session root broker; }

# The sandbox as a job of a shell outside.
job() {
    folder "$1"
    terminal "$1" "PS1='outside> ' bash --norc --noprofile -i"
    sees '^outside>'
    tm send-keys -t main "'$SANDBOXCTL' exec --policy shell -- cat" Enter
    sleep 1
    tm send-keys -t main 'first line' Enter
    eventually twice 'first line'
    tm send-keys -t main C-z
    sees 'Stopped'
    tm send-keys -t main 'echo at the prompt' Enter
    sees '^at the prompt'
    tm send-keys -t main 'fg' Enter
    sleep 0.5
    tm send-keys -t main 'second line' Enter
    eventually twice 'second line'
    tm send-keys -t main C-c
    sleep 0.3
    tm send-keys -t main 'echo code $?' Enter
    sees '^code 130'
    # The terminal is as it was: it echoes, and lines are lines.
    tm send-keys -t main 'stty -a | grep -o " icanon\| echo " | tr -d "\n"; echo .' Enter
    sees '^ icanon echo \.'
}

# Typed and echoed by the terminal, then printed by cat.
twice() {
    [ "$(tm capture-pane -p -J -t main | grep -c "^$1")" -ge 2 ]
}

@test "Ctrl-Z, fg and Ctrl-C from the shell outside: user" { job user; }
@test "Ctrl-Z, fg and Ctrl-C from the shell outside: root" { job root; }

@test "nothing inside can type into the terminal outside" {
    sandboxed_bash user view
    tm send-keys -t main "/usr/bin/python3 -c 'import fcntl; fcntl.ioctl(0, 0x5412, b\"x\")' 2>&1 | tail -1" Enter
    sees 'Error'
}

@test "with output into a pipe and the terminal as input, the sandbox still has a terminal of its own" {
    folder user
    terminal user "'$SANDBOXCTL' exec --policy shell -- bash -c 'tty; tty <&2; echo end' | cat; sleep 100"
    sees ' *end$'
    [ "$(tm capture-pane -p -J -t main | grep -c '/dev/pts/')" -eq 2 ]
}
