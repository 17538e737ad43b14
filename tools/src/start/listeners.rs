//! From `listeners` and `advertised.listeners` to sockets and to what clients are told.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use net::node::Bind;
use replication::image::{Endpoint, SecurityProtocol};
use tuning::config::{BrokerConfig, ConfigMap, ListenerConfig};

/// Where clients connect when nothing else is said.
const DEFAULT_ADDRESS: &str = "localhost:9092";
/// The listener's name when the command line makes it.
const DEFAULT_NAME: &str = "PLAINTEXT";

/// Writes `--kafka-addr` and `--advertised-addr` into the map, as the keys they stand for. Several
/// addresses become several listeners.
pub(super) fn from_flags(
    map: &mut ConfigMap,
    addresses: &[String],
    advertised: Option<&str>,
) -> anyhow::Result<()> {
    if addresses.is_empty() && !map.contains_key("listeners") {
        map.insert("listeners".to_owned(), format!("{DEFAULT_NAME}://{DEFAULT_ADDRESS}"));
    }
    if !addresses.is_empty() {
        let listeners = addresses.iter().enumerate().map(|(place, address)| {
            check_host_port("--kafka-addr", address)?;
            Ok(format!("{}://{address}", name(place)))
        });
        let listeners: anyhow::Result<Vec<String>> = listeners.collect();
        map.insert("listeners".to_owned(), listeners?.join(","));
    }
    if let Some(address) = advertised {
        check_host_port("--advertised-addr", address)?;
        let names: Vec<String> = match addresses.len() {
            0 => map["listeners"]
                .split(',')
                .filter_map(|listener| Some(listener.split_once("://")?.0.trim().to_owned()))
                .collect(),
            count => (0..count).map(name).collect(),
        };
        let all: Vec<String> = names.iter().map(|name| format!("{name}://{address}")).collect();
        map.insert("advertised.listeners".to_owned(), all.join(","));
    }
    Ok(())
}

fn name(place: usize) -> String {
    if place == 0 { DEFAULT_NAME.to_owned() } else { format!("{DEFAULT_NAME}_{}", place + 1) }
}

fn check_host_port(flag: &str, address: &str) -> anyhow::Result<()> {
    let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(_)) => Ok(()),
        _ => bail!("{flag} {address}: write HOST:PORT, for example 127.0.0.1:9092 or [::1]:9092"),
    }
}

/// Sockets to bind, and what clients are told.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Every address of every listener.
    pub(super) binds: Vec<Bind>,
    /// One per listener, in their order.
    pub(super) endpoints: Vec<Endpoint>,
}

impl Plan {
    pub(super) fn new(broker: &BrokerConfig) -> anyhow::Result<Self> {
        let mut plan = Self { binds: Vec::new(), endpoints: Vec::new() };
        if broker.listeners.is_empty() {
            bail!("listeners is empty: name at least one, for example PLAINTEXT://127.0.0.1:9092");
        }
        for (place, listener) in broker.listeners.iter().enumerate() {
            let binds = addresses(listener)?;
            let optional = binds.len() > 1;
            plan.binds.extend(binds.into_iter().map(|address| Bind {
                listener: place,
                address,
                optional,
            }));
            plan.endpoints.push(endpoint(listener, &broker.advertised_listeners)?);
        }
        Ok(plan)
    }

    /// Whether every port is free. Shards bind with SO_REUSEPORT, which would let a second broker
    /// of the same user in without a word; so each address is bound once without it first.
    pub(super) fn check_ports(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + LINGER_MAX;
        for bind in &self.binds {
            match bind_once_free(bind.address, deadline) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    let holder = super::host::port_holder(bind.address.port());
                    let holder = holder.map_or(String::new(), |who| format!(" by {who}"));
                    bail!(
                        "{} is taken{holder}: stop it, or choose another port with --kafka-addr HOST:PORT",
                        bind.address
                    );
                }
                Err(_) if bind.optional => {}
                Err(error) => {
                    return Err(error).with_context(|| {
                        format!("cannot listen on {}: choose another --kafka-addr", bind.address)
                    });
                }
            }
        }
        Ok(())
    }
}

/// Binds `address`. A port that is taken while no process holds it is a killed node's: the kernel takes
/// its rings apart, and with them the sockets that were accepting, only after the process is gone
/// (seen: 3 to 10 ms, more under load). Such a port is waited for until `deadline`.
fn bind_once_free(address: SocketAddr, deadline: Instant) -> std::io::Result<TcpListener> {
    loop {
        let bound = TcpListener::bind(address);
        let taken = bound.as_ref().is_err_and(|error| error.kind() == ErrorKind::AddrInUse);
        let held = || super::host::port_holder(address.port()).is_some();
        if !taken || Instant::now() >= deadline || held() {
            return bound;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How long a start waits for the sockets of a node that was killed just before.
const LINGER_MAX: Duration = Duration::from_secs(2);

/// The addresses that a listener's host stands for. `localhost` is both families whatever the
/// host's name service says, since clients may be told either first.
fn addresses(listener: &ListenerConfig) -> anyhow::Result<Vec<SocketAddr>> {
    let port = listener.port;
    let both =
        |v4, v6| vec![SocketAddr::new(IpAddr::V4(v4), port), SocketAddr::new(IpAddr::V6(v6), port)];
    match listener.host.as_str() {
        "localhost" => Ok(both(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST)),
        "" => Ok(both(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED)),
        host => {
            let found = (host, port).to_socket_addrs();
            let found = found
                .with_context(|| format!("listener {}: cannot resolve {host}", listener.name))?;
            let found: Vec<SocketAddr> = found.collect();
            if found.is_empty() {
                Err(anyhow!("listener {}: {host} has no address", listener.name))
            } else {
                Ok(found)
            }
        }
    }
}

fn endpoint(listener: &ListenerConfig, advertised: &[ListenerConfig]) -> anyhow::Result<Endpoint> {
    let told = advertised.iter().find(|told| told.name == listener.name).unwrap_or(listener);
    let anywhere = told.host.is_empty()
        || told.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
    if anywhere {
        bail!(
            "listener {} accepts on every interface, so clients have to be told an address: --advertised-addr HOST:{}",
            listener.name,
            listener.port
        );
    }
    Ok(Endpoint {
        listener: listener.name.clone(),
        host: told.host.clone(),
        port: told.port,
        protocol: SecurityProtocol::Plaintext,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tuning::config::Layers;

    fn plan(addresses: &[&str], advertised: Option<&str>) -> anyhow::Result<Plan> {
        let mut file = ConfigMap::new();
        let addresses: Vec<String> =
            addresses.iter().map(|address| (*address).to_owned()).collect();
        from_flags(&mut file, &addresses, advertised)?;
        let layers = Layers { file: &file, ..Layers::default() };
        Plan::new(&BrokerConfig::resolve(&layers).map_err(|sentence| anyhow!(sentence))?)
    }

    #[test]
    fn the_default_is_both_families_of_localhost() {
        let plan = plan(&[], None).expect("the default");
        let addresses: Vec<String> = plan.binds.iter().map(|b| b.address.to_string()).collect();
        assert_eq!(addresses, ["127.0.0.1:9092", "[::1]:9092"]);
        assert_eq!((plan.endpoints[0].host.as_str(), plan.endpoints[0].port), ("localhost", 9092));
    }

    #[test]
    fn every_interface_needs_an_advertised_address() {
        let error = plan(&["0.0.0.0:9092"], None).expect_err("nobody can connect to 0.0.0.0");
        assert!(error.to_string().contains("--advertised-addr HOST:9092"), "{error}");
        let plan = plan(&["0.0.0.0:9092"], Some("example.org:29092")).expect("told");
        assert_eq!(
            (plan.endpoints[0].host.as_str(), plan.endpoints[0].port),
            ("example.org", 29092)
        );
    }

    #[test]
    fn several_addresses_are_several_listeners() {
        let plan = plan(&["127.0.0.1:1", "[::1]:2"], None).expect("both parse");
        let names: Vec<&str> = plan.endpoints.iter().map(|e| e.listener.as_str()).collect();
        assert_eq!(names, ["PLAINTEXT", "PLAINTEXT_2"]);
        assert_eq!(plan.binds[1].listener, 1);
        assert!(plan_error("nonsense").contains("HOST:PORT"));
    }

    fn plan_error(address: &str) -> String {
        plan(&[address], None).expect_err("refused").to_string()
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("bound").to_string();
        let error = plan(&[&address], None).expect("parses").check_ports().expect_err("taken");
        assert!(error.to_string().contains("is taken"), "{error}");
        assert!(error.to_string().contains("--kafka-addr"), "{error}");
    }
}
