//! A control client that says what it believes: joins a control server with tailscale's own crate, and stays.
//!
//! It takes what `netmap-supervisor check-client` gives to clients, from the environment: NETMAP_CHECK_URL,
//! NETMAP_CHECK_DIR (its keys and peers.json), NETMAP_CHECK_HOSTNAME, and NETMAP_CHECK_AUTH_KEY_FILE, without which a
//! person has to let it in. A JSON object a line on standard output:
//!
//!     {"event": "login", "url": "http://…/auth/…"}
//!     {"event": "self", "name": "laptop.tail0000.ts.net.", "addresses": [...], …}
//!     {"event": "peers", "peers": [{"name": …, "addresses": [...], "online": true, …}, …]}
//!
//! each whenever it has changed; DIR/peers.json holds the last list of peers, and is replaced as a whole. The log is
//! on standard error, at the level RUST_LOG. It ends with 0 after SIGTERM, with 1 when the crate has given up: its
//! supervisor restarts a part at most five times in five seconds, without a pause, and the device is of no use then.
//!
//! The crate has no list of peers and no notice of changes: it looks up one peer by name, address or route. What to ask
//! for, and when, is taken from its log; what is printed are its answers.

use std::{
    collections::BTreeSet,
    env,
    error::Error,
    fmt, fs,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tailscale::{AuthState, Config, Device, NodeInfo, config::load_key_file};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// For the first connection: the crate waits for ever once that has failed.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What the crate's log tells.
#[derive(Default)]
struct Hints {
    /// Those that maps have named.
    addresses: Mutex<BTreeSet<Ipv4Addr>>,
    /// There was a list of peers; until then a question about one has no answer.
    peers_known: AtomicBool,
    /// Its supervisor will not restart a part that ended.
    given_up: AtomicBool,
    /// Something may have changed.
    changed: Notify,
}

struct HintLayer(Arc<Hints>);

struct HintVisitor<'a>(&'a Hints);

impl Visit for HintVisitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "map_response" => {
                // Of 100.64.0.1/32, in the debugging form of a whole map.
                let text = format!("{value:?}");
                let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '/'));
                let found =
                    words.filter_map(|word| word.strip_suffix("/32")?.parse::<Ipv4Addr>().ok());
                self.0.addresses.lock().unwrap().extend(found);
            }
            "peer_count" => self.0.peers_known.store(true, Relaxed),
            "decision" if format!("{value:?}").contains("max restarts") => {
                self.0.given_up.store(true, Relaxed)
            }
            _ => {}
        }
    }
}

impl<S: Subscriber> Layer<S> for HintLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        event.record(&mut HintVisitor(&self.0));
        self.0.changed.notify_one();
    }
}

fn node_json(node: &NodeInfo) -> Value {
    let online = match node.status {
        ts_control::NodeStatus::Online => Some(true),
        ts_control::NodeStatus::Offline(_) => Some(false),
        ts_control::NodeStatus::Unknown => None,
    };
    json!({
        "id": node.id,
        "stable_id": node.stable_id.0,
        "name": node.fqdn(true),
        "addresses": [node.tailnet_address.ipv4.addr().to_string(), node.tailnet_address.ipv6.addr().to_string()],
        "online": online,
        "tags": node.tags,
        "routes": node.accepted_routes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "key": node.node_key.to_string(),
        "key_expiry": node.node_key_expiry.map(|at| at.to_rfc3339()),
        "endpoints": node.underlay_addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "home_derp": node.derp_region.map(|region| u32::from(region.0)),
    })
}

/// Prints what has changed.
struct Report {
    peers_file: PathBuf,
    login: Option<String>,
    own: Option<Value>,
    peers: Option<Value>,
}

impl Report {
    fn login(&mut self, url: Option<String>) {
        if let Some(url) = url.as_ref().filter(|url| self.login.as_ref() != Some(url)) {
            println!("{}", json!({"event": "login", "url": url}));
        }
        self.login = url;
    }

    fn own(&mut self, mut own: Value) {
        if self.own.as_ref() != Some(&own) {
            self.own = Some(own.clone());
            own["event"] = "self".into();
            println!("{own}");
        }
    }

    fn peers(&mut self, peers: Value) -> std::io::Result<()> {
        if self.peers.as_ref() != Some(&peers) {
            let next = self.peers_file.with_extension("new");
            fs::write(&next, peers.to_string())?;
            fs::rename(next, &self.peers_file)?;
            println!("{}", json!({"event": "peers", "peers": peers}));
            self.peers = Some(peers);
        }
        Ok(())
    }
}

/// Asks the crate for all it can tell, as far as it has come. While it restarts a part, that is an error.
async fn look(device: &Device, hints: &Hints, report: &mut Report) -> Result<(), Box<dyn Error>> {
    report.login(match device.is_authorized().await? {
        AuthState::NotAuthorized(url) => Some(url.to_string()),
        AuthState::Authorized => None,
    });
    if report.login.is_some() {
        return Ok(());
    }
    let own = device.self_node().await?;
    report.own(node_json(&own));
    let mut peers = Vec::new();
    let known = hints.peers_known.load(Relaxed);
    let addresses = if known {
        hints.addresses.lock().unwrap().clone()
    } else {
        BTreeSet::new()
    };
    for address in addresses {
        if let Some(peer) = device.peer_by_tailnet_ip(IpAddr::V4(address)).await? {
            peers.push(node_json(&peer));
        }
    }
    report.peers(peers.into())?;
    Ok(())
}

fn given(name: &str) -> Result<String, String> {
    env::var(name)
        .map_err(|_| format!("{name} is not set: it is what check-client gives to clients"))
}

async fn run(hints: Arc<Hints>) -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(given("NETMAP_CHECK_DIR")?);
    let auth_key = match env::var("NETMAP_CHECK_AUTH_KEY_FILE") {
        Ok(path) => Some(
            fs::read_to_string(&path)
                .map_err(|why| format!("{path}: {why}"))?
                .trim()
                .to_owned(),
        ),
        Err(_) => None,
    };
    let config = Config {
        control_server_url: given("NETMAP_CHECK_URL")?
            .parse()
            .map_err(|why| format!("NETMAP_CHECK_URL: {why}"))?,
        requested_hostname: Some(given("NETMAP_CHECK_HOSTNAME")?),
        key_state: load_key_file(directory.join("keys.json"), Default::default()).await?,
        ..Config::default()
    };
    let mut terminated = signal(SignalKind::terminate())?;
    let peers_file = directory.join("peers.json");
    let _ = fs::remove_file(&peers_file); // What an earlier one believed.
    let mut report = Report {
        peers_file,
        login: None,
        own: None,
        peers: None,
    };
    let stay = async {
        let device = timeout(START_LIMIT, Device::new(&config, auth_key)).await??;
        loop {
            if let Err(why) = look(&device, &hints, &mut report).await {
                tracing::debug!(%why, "no answer of the crate");
            }
            let _ = timeout(LOOK_AT_LEAST_EVERY, hints.changed.notified()).await;
        }
    };
    let given_up = async {
        while !hints.given_up.load(Relaxed) {
            sleep(LOOK_AT_LEAST_EVERY).await;
        }
    };
    tokio::select! {
        ended = stay => ended,
        _ = given_up => Err("the crate has given up its connection to the control server".into()),
        _ = terminated.recv() => Ok(()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let hints = Arc::new(Hints::default());
    let level = env::var("RUST_LOG")
        .ok()
        .and_then(|word| word.parse().ok())
        .unwrap_or(LevelFilter::INFO)
        .min(LevelFilter::DEBUG); // Beyond that the crate logs its requests, and the auth key with them.
    let told = Targets::new()
        .with_target("kameo::actor::kind", Level::WARN)
        .with_target("ts_control::client::map_stream", Level::TRACE)
        .with_target("ts_runtime::control_runner", Level::DEBUG)
        .with_target("ts_runtime::peer_tracker", Level::DEBUG);
    tracing_subscriber::registry()
        .with(HintLayer(hints.clone()).with_filter(told))
        .with(
            tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_writer(std::io::stderr)
                .with_filter(level),
        )
        .init();
    match run(hints).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("cannot go on: {why}");
            ExitCode::FAILURE
        }
    }
}
