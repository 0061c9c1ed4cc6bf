#!/bin/busybox sh
# The guest's first process: mounts, loads drivers, brings up the network, then does what the tests on the host say.
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /root /usr/bin
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
chmod 1777 /tmp
while read -r module; do
    insmod "/modules/$module" || echo "init: $module was not loaded"
done < /modules/order
ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
echo "init: ready after $(cut -d' ' -f1 /proc/uptime) s"

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
