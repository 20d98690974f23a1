#!/bin/sh
# SPDX-License-Identifier: MIT
# Does the container work as docs/SERVICE.md says? Builds tools/deploy/Containerfile by docker or podman and runs the image as nobody, without a capability,
# a network, or a file that can be written; asks its health check, finds a face, looks at what the process may do, and stops it.
# Prints minutes, size and memory. Ends with 77, and says why, where there is no container engine. Not in `make check`: it compiles everything anew.
#
#   CONTAINER_ENGINE="podman --runtime runc"   the engine, instead of what is found
#   BASE=debian:bookworm-slim                  the base image; by default Debian's from its registry, or, where that cannot be reached, one made by debootstrap
set -eu
cd "$(dirname "$0")/.."
skip() { echo "skipped: $*"; exit 77; }
fail() { echo "container: $*" >&2; exit 1; }

engine=${CONTAINER_ENGINE:-}
if [ -z "$engine" ]; then
    for candidate in docker podman; do
        [ -n "$engine" ] || ! "$candidate" info >/dev/null 2>&1 || engine=$candidate
    done
fi
[ -n "$engine" ] || skip "neither docker (its daemon) nor podman is there"
build_flags="" podman=""
case $engine in
    *podman*) podman=1 build_flags="--isolation chroot --format docker" ;; # no daemon, fewer rights; its own format has no health check
esac

work=$(mktemp -d)
id="" made=""
clean_up() {
    [ -z "$id" ] || $engine rm -f "$id" >/dev/null 2>&1 || true
    $engine rmi -f localhost/mien-check $made >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

base=${BASE:-docker.io/library/debian:bookworm-slim}
if [ -z "${BASE:-}" ] && ! $engine image inspect "$base" >/dev/null 2>&1 && ! $engine pull -q "$base" >/dev/null 2>&1; then
    { command -v debootstrap && [ "$(id -u)" -eq 0 ]; } >/dev/null || skip "the registry cannot be reached, and a base cannot be made (root and debootstrap)"
    echo "== the registry cannot be reached: the base is made by debootstrap"
    debootstrap --variant=minbase bookworm "$work/base" >"$work/log" 2>&1 || { tail -5 "$work/log" >&2; fail "debootstrap failed"; }
    rm -rf "$work"/base/var/cache/apt/archives/*.deb
    base=localhost/mien-check-base made=$base
    tar -C "$work/base" -c . | $engine import - "$base" >/dev/null 2>&1 || fail "the base cannot be imported"
fi

echo "== build on $base"
begin=$(date +%s)
# shellcheck disable=SC2086
$engine build $build_flags --build-arg BASE="$base" -f tools/deploy/Containerfile -t localhost/mien-check . >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; fail "the image cannot be built"; }
size_of() { echo $(($($engine image inspect --format '{{.Size}}' "$1") / 1000000)); }
echo "built in $(($(date +%s) - begin)) s; $(size_of localhost/mien-check) MB, of these $(size_of "$base") MB the base"

echo "== run"
safe="--read-only --cap-drop ALL --security-opt no-new-privileges --network none --ulimit nofile=1024:1024 --ulimit nproc=256:256"
[ -z "$podman" ] || safe="$safe --read-only-tmpfs=false"
run() { # shellcheck disable=SC2086
    id=$($engine run -d $safe localhost/mien-check 2>"$work/log")
}
if ! run; then # podman's first choice of a runtime does not know every kind of cgroups
    [ -n "$podman" ] && [ -z "${CONTAINER_ENGINE:-}" ] && command -v runc >/dev/null && engine="podman --runtime runc" && run || { cat "$work/log" >&2; fail "the image does not run"; }
fi
inside() { $engine exec -i "$id" "$@"; }
url=http://127.0.0.1:8084
tries=0
until inside curl -fsS -o /dev/null "$url/readyz" 2>/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 50 ] || { $engine logs "$id" >&2; fail "no answer within 10 s"; }
    sleep 0.2
done

if [ -n "$podman" ]; then
    $engine healthcheck run "$id" || fail "the health check fails"
else
    check=$($engine inspect --format '{{json .Config.Healthcheck.Test}}' "$id")
    [ "$check" = '["CMD","curl","-fsS","-o","/dev/null","http://127.0.0.1:8084/readyz"]' ] || fail "the health check is $check"
    inside curl -fsS -o /dev/null "$url/readyz" || fail "the health check fails"
fi
echo "health check: good"

photo=tests/data/photos/astronaut.jpg
answer=$(inside curl -sS --data-binary @- -H 'Content-Type: image/jpeg' "$url/v1/analyze" <$photo)
case $answer in
    *'"box":{"x":177,"y":67,"width":94,"height":94}'*) echo "POST /v1/analyze: the face of $photo" ;;
    *) fail "another answer than the face: $answer" ;;
esac
[ "$(inside curl -sS -F 'image=@-;filename=a.jpg' "$url/classifyImage" <$photo | head -c 4 | od -An -tx1)" = " 89 50 4e 47" ] || fail "/classifyImage gives no PNG"
echo "POST /classifyImage: a PNG"
inside curl -sS "$url/" | grep -q '<title>mien' || fail "the page is missing"

status=$(inside cat /proc/1/status)
field() { echo "$status" | sed -n "s/^$1:[[:space:]]*//p"; }
[ "$(field Uid | tr '\t' ' ')" = "65534 65534 65534 65534" ] || fail "it runs as user $(field Uid)"
[ "$(field CapEff)$(field CapBnd)" = 00000000000000000000000000000000 ] || fail "it has capabilities: $(field CapEff) of $(field CapBnd)"
[ "$(field NoNewPrivs)" = 1 ] || fail "it may gain privileges"
for file in /x /tmp/x /var/tmp/x /usr/local/bin/mien; do
    ! inside sh -c ": >>$file" 2>/dev/null || fail "$file can be written"
done
echo "user 65534, no capability, no new privileges, no file can be written; VmRSS $(field VmRSS)"

begin=$(date +%s)
$engine stop -t 20 "$id" >/dev/null
code=$($engine inspect --format '{{.State.ExitCode}}' "$id")
[ "$code" = 0 ] || fail "it stopped with exit code $code"
$engine logs "$id" 2>&1 | grep -q '"path":"/v1/analyze","status":200' || fail "the request is not in the log"
echo "stopped in $(($(date +%s) - begin)) s with exit code 0; its log has the requests"
echo "the container works ($engine)"
