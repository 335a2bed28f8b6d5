//! `ribwatch policy test`: what a policy of a file would do to the routes of MRT files (`mrt`) or of a daemon (`live`).
//! Both give routes to a [`Judge`]; what it found is printed by `report`. Nothing is changed anywhere.

mod judge;
mod live;
mod mrt;
mod report;

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use clap::{Args, Subcommand, ValueEnum};

use super::{
    Global,
    client::{Client, Failure},
    output::Output,
};
use crate::{
    config::{Config, Neighbor, neighbor_facts},
    engine::Sender,
    io::bgp::Remote,
    policy::{Context, Direction, NeighborFacts},
    types::{Asn, PeerKind},
};
use judge::Judge;

#[derive(Args, Debug)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    verb: PolicyVerb,
}

#[derive(Subcommand, Debug)]
enum PolicyVerb {
    /// What a policy would do to routes: counts, which statement decided, what would change
    ///
    /// With FILEs their routes are judged, as if every peer in them were a neighbor of ours; without, the routes of the
    /// running daemon, which notices nothing: Adj-RIB-In for import, the best routes for export. Validation states are
    /// the daemon's; for FILEs they come from the [[rpki.cache]] with `file` and the local exceptions of the
    /// configuration, and caches are not asked.
    Test(TestArgs),
}

#[derive(Args, Debug)]
struct TestArgs {
    /// The configuration with the policies; the daemon need not run with it
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Policy to ask, instead of those of --neighbor; may be repeated, in order
    #[arg(long, value_name = "NAME")]
    policy: Vec<String>,
    /// A neighbor of the configuration. Import: its policies, and only its routes (of a file: all, as if it had sent
    /// them). Export: who is to get the routes
    #[arg(long, value_name = "NAME|ADDRESS")]
    neighbor: Option<String>,
    /// Which way the routes go
    #[arg(long, value_enum, default_value_t)]
    direction: Way,
    /// Show at most this many of the routes that would be rejected or changed; 0 shows counts only
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
    /// MRT files: plain, gzip, bzip2 or zstd; - reads standard input
    #[arg(value_name = "MRTFILE")]
    files: Vec<PathBuf>,
}

/// Which way routes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
enum Way {
    /// From neighbors
    #[default]
    Import,
    /// To a neighbor
    Export,
}

/// Runs the verb.
pub(super) fn run(args: &PolicyArgs, global: &Global, out: &mut Output<'_>) -> Result<(), Failure> {
    let PolicyVerb::Test(args) = &args.verb;
    let config = Config::load(&args.config).map_err(|error| Failure::Usage(error.to_string()))?;
    let people = People::new(&config);
    let neighbor = args.neighbor.as_deref().map(|word| people.find(word)).transpose()?;
    let names = names(args, neighbor, &config)?;
    let target = neighbor.map(|neighbor| people.facts_of(neighbor));
    let direction = match args.direction {
        Way::Import => Direction::Import,
        Way::Export => Direction::Export,
    };
    let mut judge =
        Judge::new(&names, &config.policy.library, people.session(direction, neighbor, target.as_ref()), args.limit);
    let damage = if args.files.is_empty() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = Client::connect(&global.api).await?;
            live::judge(&mut judge, &client, &people, neighbor).await
        })?;
        None
    } else {
        mrt::judge(&mut judge, &args.files, &people, &config.rpki, target.as_ref())?
    };
    report::print(&judge.finish(), &names, direction, out)?;
    damage.map_or(Ok(()), |damage| Err(Failure::No(damage)))
}

/// The policies to ask.
fn names(args: &TestArgs, neighbor: Option<&Neighbor>, config: &Config) -> Result<Vec<Arc<str>>, Failure> {
    let known = || config.policy.library.names().collect::<Vec<_>>().join(", ");
    if let Some(name) = args.policy.iter().find(|name| !config.policy.library.contains(name)) {
        let file = args.config.display();
        return Err(Failure::Usage(format!("no policy is called {name:?} in {file}; it has {}", known())));
    }
    let of_neighbor = neighbor.map(|neighbor| match args.direction {
        Way::Import => &neighbor.import,
        Way::Export => &neighbor.export,
    });
    match (args.policy.as_slice(), of_neighbor) {
        ([], None) => Err(Failure::Usage(format!("name what to test: --policy NAME ({}) or --neighbor NAME", known()))),
        ([], Some(names)) => Ok(names.iter().map(|name| name.as_str().into()).collect()),
        (names, _) => Ok(names.iter().map(|name| name.as_str().into()).collect()),
    }
}

/// Who is known from the configuration.
struct People<'a> {
    neighbors: &'a [Neighbor],
    own: Asn,
    /// Other member ASes of our confederation.
    members: &'a [Asn],
}

impl<'a> People<'a> {
    fn new(config: &'a Config) -> Self {
        let members = config.router.confederation.as_ref().map_or(&[][..], |confederation| &confederation.members);
        Self { neighbors: &config.neighbors, own: config.router.asn, members }
    }

    /// The neighbour called `word`.
    fn find(&self, word: &str) -> Result<&'a Neighbor, Failure> {
        let address: Option<IpAddr> = word.parse().ok();
        let is_it = |neighbor: &&Neighbor| {
            neighbor.name.as_deref() == Some(word)
                || address.is_some_and(|address| neighbor.remote == Remote::Address(address))
        };
        self.neighbors
            .iter()
            .find(is_it)
            .ok_or_else(|| Failure::Usage(format!("the configuration has no neighbor called {word:?}")))
    }

    /// What policies ask about a configured neighbour.
    fn facts_of(&self, neighbor: &Neighbor) -> NeighborFacts {
        neighbor_facts(neighbor, self.own, neighbor.remote_asn.known().unwrap_or(Asn::TRANS))
    }

    /// What policies ask about whoever has this address: as configured, by itself or by a range, or a stranger.
    fn at(&self, address: IpAddr, asn: Asn) -> NeighborFacts {
        let address = address.to_canonical();
        let is_it = |neighbor: &&Neighbor| neighbor.remote.prefix().contains(address);
        let exact = self.neighbors.iter().find(|neighbor| neighbor.remote == Remote::Address(address));
        match exact.or_else(|| self.neighbors.iter().find(is_it)) {
            Some(neighbor) => {
                let name = neighbor.name.clone().unwrap_or_else(|| address.to_string()).into();
                NeighborFacts { address, name, ..neighbor_facts(neighbor, self.own, asn) }
            }
            None => {
                let kind = if asn == self.own { PeerKind::Internal } else { PeerKind::External };
                NeighborFacts { address, asn, name: address.to_string().into(), group: None, kind, role: None }
            }
        }
    }

    /// What RPKI asks about who sent a route: the relation to neighbours in other ASes.
    fn sender(&self, from: Option<&NeighborFacts>) -> Sender {
        let from = from.filter(|from| from.kind == PeerKind::External && !self.members.contains(&from.asn));
        Sender { own: self.own, role: from.and_then(|from| Some((from.asn, from.role?))), states: false }
    }

    /// The session that policies stand on. Without a neighbour, import asks about whoever sent each route, and export
    /// about nobody in particular in another AS.
    fn session(&self, direction: Direction, neighbor: Option<&Neighbor>, target: Option<&NeighborFacts>) -> Context {
        let unknown = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        let nobody = NeighborFacts {
            address: unknown,
            asn: Asn::TRANS,
            name: "".into(),
            group: None,
            kind: PeerKind::External,
            role: None,
        };
        Context {
            direction,
            neighbor: target.cloned().unwrap_or(nobody),
            local_asn: self.own,
            local_address: neighbor.and_then(|neighbor| neighbor.local_address).unwrap_or(unknown),
        }
    }
}
