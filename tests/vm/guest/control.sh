#!/bin/busybox sh
# The control line. From the host comes a shell command, one line each; back go "STATUS BYTES" on a line and as many bytes of output.
# The port can be opened once only, so it stays open; it ends for as long as no test is connected.
port=
until [ -c "$port" ]; do
    sleep 0.05
    port=$(ls /dev/vport* 2> /dev/null)
done
exec 3<>"$port"
while :; do
    if IFS= read -r command <&3; then
        sh -c "$command" > /run/output 2>&1 3>&- < /dev/null
        echo "$? $(stat -c %s /run/output)" >&3
        cat /run/output >&3
    else
        sleep 0.1
    fi
done
