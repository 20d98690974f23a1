# Checks of `mien camera` against real V4L2 drivers; read by init inside of the virtual machine.
# shellcheck shell=sh disable=SC2154

# Faces, one per line, that were found in their own frame: box, neighbors, labels and probabilities, without what depends on when one began to
# look. A face of an earlier frame that is still shown (missed above 0) says when frames were dropped, not what is in them.
faces_of() {
    sed -n 's/.*"faces"://p' "$1" | awk '{ n = split($0, face, /[{]"id":/)
        for (i = 2; i <= n; i++) if (face[i] !~ /"missed":[1-9]/) { sub(/[],}]*$/, "", face[i]); print face[i] } }' |
        sed -e 's/^[0-9]*,//' -e 's/"missed":[0-9]*,"frames":[0-9]*,//g' -e 's/,"smoothed":{[^}]*}//g' | sort -u
}
same_faces() { # NAME CAMERA VIDEO: every face of the camera is one of the film
    faces_of "$2" >/tmp/camera.faces
    faces_of "$3" >/tmp/video.faces
    other=$(grep -c -v -x -F -f /tmp/video.faces /tmp/camera.faces)
    echo "$1: $(wc -l <"$2") frames, $(wc -l </tmp/camera.faces) different of $(wc -l </tmp/video.faces)"
    [ "$other" -eq 0 ] || { fail "$1: $other faces differ from mien video"; grep -v -x -F -f /tmp/video.faces /tmp/camera.faces | head -n 2 | cut -c 1-300; head -n 1 /tmp/video.faces | cut -c 1-300; }
    [ "$(wc -l </tmp/camera.faces)" -ge 4 ] || fail "$1: too few different faces"
    grep -q '"box"' /tmp/camera.faces || fail "$1: no face"
}
every="--full-every 1 --smoothing none -q"

note "v4l2loopback: the same faces as mien video, YUYV"
load v4l2loopback devices=1 video_nr=7 exclusive_caps=1 card_label=FaceCam
sleep 0.3
mien camera /dev/video7 >/tmp/idle.txt 2>&1 && fail "a device that nobody feeds was opened"
expect "is an output" /tmp/idle.txt
mien video - --raw yuyv --size 320x240 $every </data/frames.yuyv >/tmp/video.json || fail "mien video: exit $?"
feed /dev/video7 YUYV 320 240 15 /data/frames.yuyv & feeder=$!
sleep 0.5
mien camera --list >/tmp/list.txt 2>&1
expect "FaceCam" /tmp/list.txt
expect "YUYV" /tmp/list.txt
mien camera /dev/video7 --size 320x240 $every --frames 40 >/tmp/camera.json 2>/tmp/camera.txt || fail "mien camera: exit $?"
expect "320 x 240 yuyv" /tmp/camera.txt
same_faces "YUYV" /tmp/camera.json /tmp/video.json
kill $feeder
wait $feeder 2>/dev/null

note "v4l2loopback: the same faces, MJPG"
cat /data/*.jpg | mien video - $every >/tmp/video.json || fail "mien video: exit $?"
feed /dev/video7 MJPG 320 240 15 /data/*.jpg & feeder=$!
sleep 0.5
mien camera /dev/video7 --size 320x240 $every --frames 40 >/tmp/camera.json 2>/tmp/camera.txt || fail "mien camera: exit $?"
expect "mjpg" /tmp/camera.txt
same_faces "MJPG" /tmp/camera.json /tmp/video.json
kill $feeder
wait $feeder 2>/dev/null

note "v4l2loopback: the same faces, YVYU and YV12"
for format in YVYU YV12; do
    raw=$(echo $format | tr A-Z a-z)
    data=/data/frames.yuyv
    [ $format = YV12 ] && data=/data/frames.yv12
    mien video - --raw "$raw" --size 320x240 $every <$data >/tmp/video.json || fail "mien video --raw $raw: exit $?"
    feed /dev/video7 $format 320 240 15 $data & feeder=$!
    sleep 0.5
    mien camera /dev/video7 --size 320x240 $every --frames 20 >/tmp/camera.json 2>/tmp/camera.txt || fail "mien camera: exit $?"
    expect "320 x 240 $raw" /tmp/camera.txt
    same_faces "$format" /tmp/camera.json /tmp/video.json
    kill $feeder
    wait $feeder 2>/dev/null
done

note "v4l2loopback: one buffer"
rmmod v4l2loopback || fail "rmmod v4l2loopback"
load v4l2loopback devices=1 video_nr=7 exclusive_caps=1 max_buffers=1
sleep 0.3
feed /dev/video7 YUYV 320 240 15 /data/frames.yuyv & feeder=$!
sleep 0.5
mien camera /dev/video7 --size 320x240 --frames 5 -q >/tmp/camera.json 2>/tmp/camera.txt || { fail "one buffer: exit $?"; cat /tmp/camera.txt; }
kill $feeder
wait $feeder 2>/dev/null
rmmod v4l2loopback || fail "rmmod v4l2loopback"
load v4l2loopback devices=1 video_nr=7 exclusive_caps=1 card_label=FaceCam
sleep 0.3

note "v4l2loopback: $frames frames, memory, SIGTERM"
feed /dev/video7 YUYV 160 120 500 /data/small.yuyv & feeder=$!
sleep 0.5
mien bench --live /dev/video7 --size 160x120 --frames "$frames" $long --json >/tmp/long.json 2>/tmp/long.txt || { fail "mien bench --live: exit $?"; cat /tmp/long.txt; }
cut -c 1-2500 /tmp/long.json
begin=$(sed 's/.*"memory":\[{"frame":2,"mib":\([0-9]*\).*/\1/' /tmp/long.json)
end=$(sed 's/.*"mib":\([0-9]*\)[^"]*$/\1/' /tmp/long.json)
[ "$((end - begin))" -le 1 ] || fail "memory grew from $begin to $end MiB"
mien camera /dev/video7 --size 160x120 --json >/tmp/camera.json 2>/tmp/camera.txt & camera=$!
sleep 1.5
kill -TERM $camera
wait $camera || fail "SIGTERM: exit $?"
expect "latency" /tmp/camera.txt
[ "$(wc -l </tmp/camera.json)" -ge 2 ] || fail "nothing was read before SIGTERM"
mien camera /dev/video7 --size 160x120 --json 2>/tmp/camera.txt | head -n 2 >/dev/null
expect "latency" /tmp/camera.txt
kill $feeder
wait $feeder 2>/dev/null

note "vivid: busy, metadata, outputs; unplugged and plugged in again"
load vivid n_devs=1 node_types=0x20101
sleep 0.5
mien camera --list 2>&1 | head -n 12
device=$(grep -l 'vid-cap' /sys/class/video4linux/*/name | head -n 1 | xargs dirname | xargs basename)
for node in $(grep -l 'meta-cap' /sys/class/video4linux/*/name | xargs dirname | xargs basename); do
    mien camera "/dev/$node" >/tmp/meta.txt 2>&1 && fail "a metadata node was opened"
    expect "metadata" /tmp/meta.txt
done
for node in $(grep -l 'vid-out' /sys/class/video4linux/*/name | xargs dirname | xargs basename); do
    mien camera "/dev/$node" >/tmp/out.txt 2>&1 && fail "an output was opened"
    expect "is an output" /tmp/out.txt
done
rm -f /tmp/camera.json
mien camera "/dev/$device" --reconnect --json >/tmp/camera.json 2>/tmp/camera.txt & camera=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do [ -s /tmp/camera.json ] || sleep 0.5; done
mien camera "/dev/$device" --frames 1 >/tmp/busy.txt 2>&1
[ $? -eq 3 ] || fail "busy device: exit code"
expect "in use by another program" /tmp/busy.txt
echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind
sleep 1.5
before=$(wc -l </tmp/camera.json)
echo vivid.0 >/sys/bus/platform/drivers/vivid/bind
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do [ "$(wc -l </tmp/camera.json)" -gt "$((before + 2))" ] || sleep 0.5; done
after=$(wc -l </tmp/camera.json)
kill -TERM $camera
wait $camera || fail "SIGTERM after reconnecting: exit $?"
echo "frames before unplugging $before, at the end $after"
[ "$before" -ge 1 ] && [ "$after" -gt "$before" ] || { fail "no frames after plugging in again"; cat /tmp/camera.txt; }
expect "waiting for it to come back" /tmp/camera.txt
ls -l /dev/video* | head -n 5

note "vivid: the multi-planar interface"
rmmod vivid || fail "rmmod vivid"
load vivid n_devs=1 node_types=0x1 multiplanar=2
sleep 0.5
device=$(grep -l 'vid-cap' /sys/class/video4linux/*/name | head -n 1 | xargs dirname | xargs basename)
mien camera --list >/tmp/list.txt 2>&1
expect "NV12" /tmp/list.txt
for format in best yuyv nv12; do
    mien camera "/dev/$device" --size 320x180 --format $format --frames 4 --json -q >/tmp/camera.json 2>/tmp/camera.txt || { fail "--format $format: exit $?"; cat /tmp/camera.txt; }
    [ "$(wc -l </tmp/camera.json)" -ge 4 ] || fail "--format $format: $(wc -l </tmp/camera.json) frames"
    expect "320 x 180" /tmp/camera.txt
    cat /tmp/camera.txt
done

note "vivid: every format, a slow camera, controls by name"
rmmod vivid || fail "rmmod vivid"
load vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0
sleep 0.5
device=/dev/$(grep -l 'vid-cap' /sys/class/video4linux/*/name | head -n 1 | xargs dirname | xargs basename)
mien camera --list >/tmp/list.txt 2>&1
for format in yvyu uyvy vyuy nv12 nv21 nv16 nv61 yu12 yv12 grey y10 y12 y16 rgb24 bgr24 rgb32 bgr32 rgb565 rgb565be bggr gbrg grbg rggb; do
    mien camera "$device" --size 320x180 --format $format --frames 2 --json -q >/tmp/camera.json 2>/tmp/camera.txt || { fail "--format $format: exit $?"; cat /tmp/camera.txt; }
    expect "320 x 180 $format" /tmp/camera.txt
done
mien camera "$device" --size 320x180 --fps 1 --frames 2 --json -q >/tmp/camera.json 2>/tmp/camera.txt || { fail "--fps 1: exit $?"; cat /tmp/camera.txt; }
expect "1 frames per second" /tmp/camera.txt
mien camera "$device" --list-controls >/tmp/controls.txt 2>&1 || fail "--list-controls: exit $?"
expect "  brightness " /tmp/controls.txt
mien camera "$device" --size 320x180 --frames 1 --json -q --set contrast=100 --set brightness=77 --set test_pattern=2 >/tmp/camera.json 2>/tmp/camera.txt || { fail "--set: exit $?"; cat /tmp/camera.txt; }
mien camera "$device" --list-controls >/tmp/controls.txt 2>&1
grep "  brightness " /tmp/controls.txt | grep -q "value 77" || { fail "--set brightness"; grep brightness /tmp/controls.txt; }
grep "  test_pattern " /tmp/controls.txt | grep -q "value 2 " || { fail "--set test_pattern"; grep -A 4 test_pattern /tmp/controls.txt; }
mien camera "$device" --frames 1 --set contrast=50 --set brightness=777 >/tmp/range.txt 2>&1
[ $? -eq 2 ] || fail "a value out of range: exit code"
expect "brightness=777 is not within 0 to 255" /tmp/range.txt
mien camera "$device" --list-controls | grep "  contrast " | grep -q "value 100" || fail "a control was set before a wrong one was found"

note "vivid: an HDMI input, and one without a signal"
rmmod vivid || fail "rmmod vivid"
load vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=3
sleep 0.5
device=/dev/$(grep -l 'vid-cap' /sys/class/video4linux/*/name | head -n 1 | xargs dirname | xargs basename)
mien camera "$device" --size 640x360 --frames 2 --json -q >/tmp/camera.json 2>/tmp/camera.txt || { fail "HDMI: exit $?"; cat /tmp/camera.txt; }
cat /tmp/camera.txt
mien camera "$device" --size 640x360 --frames 1 --json -q --set "dv_timings_signal_mode=No Signal" >/tmp/camera.json 2>/tmp/camera.txt
mien camera "$device" --size 640x360 --frames 1 --json -q >/tmp/camera.json 2>/tmp/camera.txt
[ $? -eq 3 ] || fail "no signal: exit code"
expect "no signal" /tmp/camera.txt
cat /tmp/camera.txt

note "vivid: an analog input"
rmmod vivid || fail "rmmod vivid"
load vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=2
sleep 0.5
device=/dev/$(grep -l 'vid-cap' /sys/class/video4linux/*/name | head -n 1 | xargs dirname | xargs basename)
mien camera "$device" --size 720x576 --frames 2 --json -q >/tmp/camera.json 2>/tmp/camera.txt || { fail "S-Video: exit $?"; cat /tmp/camera.txt; }
expect "interlaced" /tmp/camera.txt
cat /tmp/camera.txt
