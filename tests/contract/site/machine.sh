# What a page is run in that writes where only root may: namespaces that end with it, as a machine of their own.
# /etc, /var and /opt are the real ones until something is written there.
PATH=$PATH:/usr/sbin:/sbin
ip link set lo up
ip address add 192.0.2.1/32 dev lo
mount -t tmpfs none /run
mount -t tmpfs none /mnt
for part in etc var opt; do
  mkdir -p /mnt/$part /mnt/.$part
  mount -t overlay -o lowerdir=/$part,upperdir=/mnt/$part,workdir=/mnt/.$part none /$part
done
umask 022
mkdir -p /etc/netmap-supervisor /run/tailnet

# What a page takes for granted, by the word after its mark.

# The group may be there: sysusers.d makes it, too.
a_user() { useradd ann && groupadd -r netmap-readers; }

# A tailnet with a domain of its own.
control() {
  terminal . 'netmap-supervisor dev-control --open --churn 0 --domain tail.example --listen 127.0.0.1:8080'
}

# One that is reached as the page has it; its certificate is of a CA this machine trusts.
headscale() {
  local at=headscale.example.com
  echo "127.0.0.1 $at" >>/etc/hosts
  install -m 600 /dev/stdin /run/auth_key <<<'tskey-of-the-page'
  terminal . "netmap-supervisor dev-control --auth-key file:/run/auth_key --host $at \
    --tls-listen 127.0.0.1:443 --tls-ca /run/ca.pem"
  cat /run/ca.pem >>/etc/ssl/certs/ca-certificates.crt
}

a_key() { cp /run/auth_key key; netmap-supervisor stop; }

# It asks the name server below for the names it has not.
dnsmasq() {
  printf 'nameserver 127.0.0.1\n' >/etc/resolv.conf
  printf 'hosts: files dns\n' >/etc/nsswitch.conf
  command dnsmasq --conf-file=/dev/null --no-resolv --addn-hosts=/run/tailnet/hosts --server=127.0.0.2 \
    --listen-address=127.0.0.1 --bind-interfaces
}

knot() {
  mkdir -p /run/knot /var/lib/knot
  cat >/etc/knot/knot.conf <<END
server:
    rundir: /run/knot
    listen: 127.0.0.2@53
zone:
  - domain: tail.example
    file: tailnet.zone
END
  knotd -d
}

nginx_runs() { nginx; }

# What is taken to Prometheus' own machine.
taken_along() { install -m 644 cert.pem /etc/prometheus/netmap.pem && install -m 644 token /etc/prometheus/netmap.token; }

# The rules where pip puts them.
installed() { mkdir -p /opt/netmap-supervisor/share && cp -r deploy /opt/netmap-supervisor/share/netmap-supervisor; }

prometheus() {
  command prometheus --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/run/prometheus \
    --web.listen-address=127.0.0.1:9090 >"$terminals/"prometheus 2>&1 &
}

# targets PATTERN: what it says of them.
targets() { curl -s http://127.0.0.1:9090/api/v1/targets | grep -q -- "$1"; }

# An HTTP server of somebody's that takes whatever is posted.
receiver() {
  python - 8099 >"$terminals/"receiver 2>&1 <<END &
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8099), Handler).serve_forever()
END
}
