//! What alerts ask of the daemon, once a second: nothing that walks a map.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::Daemon;
use crate::{
    daemon::{Told, nets::covers},
    kernel::{Acquaintance, AttachedMode},
    offender::Offender,
    policy::AlertSettings,
};

impl Daemon {
    /// What is told, and to whom.
    pub(in crate::daemon) fn alert_settings(&self) -> Arc<AlertSettings> {
        Arc::clone(&self.plan.alerts)
    }

    /// Interfaces in generic mode though better was wanted, and why.
    pub(in crate::daemon) fn generic(&self) -> Vec<(String, String)> {
        let generic = self.attached.iter().filter(|one| one.mode == AttachedMode::Generic);
        generic.filter_map(|one| Some((one.name.clone(), one.note.clone()?))).collect()
    }

    /// Why the last reload has changed nothing.
    pub(in crate::daemon) fn failed_reload(&self) -> Option<String> {
        let failed = self.reload.as_ref().filter(|reload| !reload.ok);
        failed.map(|reload| reload.message.clone())
    }

    /// Whom a ban has hit.
    pub(in crate::daemon) fn offender(&self, told: &Told) -> Offender {
        self.filter.offender(told.endpoint())
    }

    /// Whether an endpoint is verified or trusted.
    pub(in crate::daemon) fn is_known(&self, address: IpAddr, port: Option<(u16, u8)>) -> bool {
        let net = IpNet::from(address);
        let file = self.plan.trusted.keys();
        let trusts = file.chain(self.allows.keys()).any(|target| {
            let hits_port =
                target.port.is_none_or(|trusted| port.is_some_and(|(one, _)| one == trusted));
            hits_port && covers(target.net, net)
        });
        trusts || self.acquaintance(address, port).since.is_some()
    }

    /// Whether the server has accepted somebody there within a day.
    pub(in crate::daemon) fn is_customer(&self, who: Offender) -> bool {
        let Acquaintance { since, is_site, .. } = self.acquaintance(who.address(), who.port);
        is_site || since.is_some()
    }

    /// Whether the server has accepted the banned one since. All of a source is
    /// banned only where nobody is verified there.
    pub(in crate::daemon) fn has_recovered(&self, who: Offender) -> bool {
        let Acquaintance { since, is_site_now, .. } = self.acquaintance(who.address(), who.port);
        let banned = self.history.ban(&who).map(|ban| ban.since);
        match who.port {
            Some(_) => since.is_some_and(|since| banned.is_none_or(|banned| since > banned)),
            None => is_site_now,
        }
    }

    /// What the kernel does not tell is not known.
    fn acquaintance(&self, address: IpAddr, port: Option<(u16, u8)>) -> Acquaintance {
        self.filter.acquaintance(address, port, &self.plan.policy).unwrap_or_default()
    }
}
