#!/usr/bin/env bash
# CPU per request and memory, beside HAProxy: both proxy the same requests to the same three pods in one run.
#
#   cargo build --release && benches/throughput.sh
#
# The proxy has one thread, pinned to core 0; wrk and the backends (nginx) have core 1. Rounds are interleaved, so that
# whatever else the machine does meets both, and the figure is the proxy's own CPU time (user and system, from
# /proc/PID/stat) over the requests that were answered: on a shared machine that repeats where requests a second do
# not. Run by hand on a quiet machine; compare the ratio, not the absolute figures of two machines.
#
# Needs: haproxy, wrk, nginx, python3 (Debian: apt-get install haproxy wrk nginx-light python3) and two cores.
# Settings, in the environment: ROUNDS=5 SECONDS_EACH=8 CONNECTIONS=64 IDLE=1000 BINARY=target/release/podrobin
set -euo pipefail
cd "$(dirname "$0")/.."

ROUNDS=${ROUNDS:-5}
SECONDS_EACH=${SECONDS_EACH:-8}
CONNECTIONS=${CONNECTIONS:-64}
IDLE=${IDLE:-1000}
BINARY=${BINARY:-target/release/podrobin}
PROXY_CORE=0
LOAD_CORE=1

for tool in haproxy wrk nginx python3 taskset; do
  command -v "$tool" >/dev/null || { echo "throughput: $tool is missing; see the head of this script" >&2; exit 1; }
done
[ -x "$BINARY" ] || { echo "throughput: $BINARY is missing: cargo build --release" >&2; exit 1; }

ulimit -n "$(ulimit -Hn)"
dir=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap finish EXIT

# Six free ports: three pods, one for each proxy, and podrobin's admin listener.
read -r POD1 POD2 POD3 HAPROXY PODROBIN ADMIN < <(python3 - <<'PY'
import socket
sockets = [socket.socket() for _ in range(6)]
for s in sockets: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))
PY
)

hundred_bytes=$(printf 'x%.0s' $(seq 100))
cat >"$dir/nginx.conf" <<CONF
worker_processes 1; daemon off; pid $dir/nginx.pid; error_log $dir/nginx.log;
events { worker_connections 8192; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 3600s;
  client_body_temp_path $dir; proxy_temp_path $dir; fastcgi_temp_path $dir; uwsgi_temp_path $dir; scgi_temp_path $dir;
  server { listen 127.0.0.1:$POD1; location / { return 200 "$hundred_bytes"; } }
  server { listen 127.0.0.1:$POD2; location / { return 200 "$hundred_bytes"; } }
  server { listen 127.0.0.1:$POD3; location / { return 200 "$hundred_bytes"; } }
}
CONF
cat >"$dir/haproxy.cfg" <<CONF
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 1s
  timeout client 600s
  timeout server 600s
  option forwardfor
  http-reuse always
frontend front
  bind 127.0.0.1:$HAPROXY
  default_backend pods
backend pods
  balance roundrobin
  server a 127.0.0.1:$POD1
  server b 127.0.0.1:$POD2
  server c 127.0.0.1:$POD3
CONF

start_podrobin() {
  taskset -c $PROXY_CORE "$BINARY" run --endpoint "127.0.0.1:$POD1,127.0.0.1:$POD2,127.0.0.1:$POD3" \
    --listen "127.0.0.1:$PODROBIN" --admin "127.0.0.1:$ADMIN" --workers 1 >"$dir/podrobin.log" 2>&1 &
  started=$!
}
start_haproxy() {
  taskset -c $PROXY_CORE haproxy -db -f "$dir/haproxy.cfg" >"$dir/haproxy.log" 2>&1 &
  started=$!
}

# await NAME PORT: until the port answers.
await() {
  for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then return; fi
    sleep 0.1
  done
  echo "throughput: $1 does not listen on $2" >&2; cat "$dir"/*.log >&2; exit 1
}

# ticks PID: CPU time so far. The command's name may hold spaces, so fields are counted after its bracket.
ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }
rss_mb() { awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
median() { sort -n | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# measure PID PORT: microseconds of CPU per request.
measure() {
  local before after requests
  before=$(ticks "$1")
  taskset -c $LOAD_CORE wrk -t1 -c"$CONNECTIONS" -d"${SECONDS_EACH}s" "http://127.0.0.1:$2/" >"$dir/wrk"
  after=$(ticks "$1")
  if grep -E 'Non-2xx|Socket errors' "$dir/wrk" >&2; then echo "throughput: port $2 failed requests" >&2; exit 1; fi
  requests=$(awk '/requests in/ { print $1 }' "$dir/wrk")
  awk -v t=$((after - before)) -v n="$requests" -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.2f\n", t / hz * 1e6 / n }'
}

# idle PORT PID: resident memory while so many clients are connected and have asked once.
idle() {
  python3 - "$1" "$2" "$IDLE" <<'PY'
import resource, socket, sys, time
port, pid, count = (int(word) for word in sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100,) * 2)
clients = []
for _ in range(count):
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(b"GET / HTTP/1.1\r\nhost: idle\r\n\r\n")
    assert client.recv(4096).startswith(b"HTTP/1.1 200"), "no answer"
    clients.append(client)
time.sleep(1)
rss = next(line for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS"))
print(f"{int(rss.split()[1]) / 1024:.1f}")
PY
}

taskset -c $LOAD_CORE nginx -c "$dir/nginx.conf" -e "$dir/nginx.log" & pids+=($!)
start_podrobin; podrobin=$started; pids+=("$podrobin")
start_haproxy; haproxy=$started; pids+=("$haproxy")
await nginx "$POD1"; await podrobin "$PODROBIN"; await haproxy "$HAPROXY"
sleep 1

echo "podrobin $("$BINARY" --version | awk '{ print $2 }'), $(haproxy -v | head -1 | awk '{ print "HAProxy " $3 }'); $ROUNDS rounds of $SECONDS_EACH s, $CONNECTIONS connections, answers of 100 B"
echo "memory at start, MB:                podrobin $(rss_mb "$podrobin")  HAProxy $(rss_mb "$haproxy")"
echo "memory with $IDLE idle clients, MB: podrobin $(idle "$PODROBIN" "$podrobin")  HAProxy $(idle "$HAPROXY" "$haproxy")"

# Each warms up once, uncounted.
measure "$podrobin" "$PODROBIN" >/dev/null; measure "$haproxy" "$HAPROXY" >/dev/null
for round in $(seq "$ROUNDS"); do
  p=$(measure "$podrobin" "$PODROBIN"); h=$(measure "$haproxy" "$HAPROXY")
  echo "$p" >>"$dir/podrobin.us"; echo "$h" >>"$dir/haproxy.us"
  echo "round $round, CPU us/request:         podrobin $p  HAProxy $h"
done
p=$(median <"$dir/podrobin.us"); h=$(median <"$dir/haproxy.us")
echo "median, CPU us/request:          podrobin $p  HAProxy $h  ratio $(awk -v p="$p" -v h="$h" 'BEGIN { printf "%.2f", p / h }')"
