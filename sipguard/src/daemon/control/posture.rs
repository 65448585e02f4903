//! The posture: what sipguard.toml says, or what the operator chose.

use sipguard_common::rule::Rule;
use tracing::info;

use super::Daemon;
use crate::{
    api::wire::{self, Origin, PostureChanged},
    daemon::{By, Error},
    history::Kind,
    policy::{Plan, Posture, RuleMode},
};

/// Who decides on the posture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Postures {
    file: Posture,
    /// The operator's, until he gives it back.
    chosen: Option<Posture>,
}

impl Postures {
    pub(super) const fn of(plan: &Plan) -> Self {
        Self { file: plan.posture, chosen: None }
    }

    fn in_force(self) -> Posture {
        self.chosen.unwrap_or(self.file)
    }

    fn wire(self) -> wire::Posture {
        wire::Posture {
            posture: self.in_force().name().to_owned(),
            origin: if self.chosen.is_some() { Origin::Operator } else { Origin::File },
            file: self.file.name().to_owned(),
        }
    }

    /// As the log shows it.
    fn shown(self) -> String {
        match self.chosen {
            Some(posture) => format!("{} (operator)", posture.name()),
            None => format!("{} (file)", self.file.name()),
        }
    }

    /// The command that brings this about.
    fn command(self) -> String {
        format!("sipguard posture {}", self.chosen.map_or("file", Posture::name))
    }
}

impl Daemon {
    /// What holds, and who chose it.
    #[must_use]
    pub fn posture(&self) -> wire::Posture {
        self.postures.wire()
    }

    /// Takes another posture from now on, over reloads, until the next wish or
    /// the end of the daemon; `None` goes back to what sipguard.toml says.
    ///
    /// # Errors
    /// The kernel refused; the former posture still holds.
    pub fn set_posture(&mut self, wish: Option<Posture>, by: By) -> Result<PostureChanged, Error> {
        let old = self.postures;
        let new = Postures { chosen: wish, ..old };
        if new.in_force() != self.plan.posture {
            put(&mut self.plan, new.in_force());
            if let Err(error) = self.filter.apply(&self.plan) {
                put(&mut self.plan, old.in_force());
                return Err(Error::Filter(error));
            }
        }
        self.postures = new;
        info!(target: "sipguard::audit", %by, action = "posture", old = old.shown(), new = new.shown());
        self.record(by, Kind::Posture, Some(old.shown()), new.shown());
        Ok(PostureChanged {
            old: old.wire(),
            new: new.wire(),
            notes: self.posture_notes(),
            undo: old.command(),
        })
    }

    fn posture_notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let posture = self.plan.posture;
        if posture == Posture::Closed {
            let (file, operator) = (self.plan.trusted.len(), self.allows.len());
            notes.push(match file + operator {
                0 => "warning: nobody is trusted: only who is verified passes".to_owned(),
                all => format!(
                    "{all} trusted entries pass ({file} by file, {operator} by operator), and \
                     who is verified; all others are dropped"
                ),
            });
            let mode = self.plan.modes.of(Rule::Closed);
            if mode != RuleMode::Enforce {
                notes.push(format!(
                    "warning: rule closed is in mode {}: it drops nothing",
                    mode.name()
                ));
            }
        }
        if self.postures.chosen.is_some() {
            notes
                .push("it holds over reloads, until `sipguard posture file` or the end".to_owned());
        }
        notes
    }

    /// The present plan as its files wrote it, to compare another one with.
    pub(super) fn plan_of_files<T>(&mut self, look: impl FnOnce(&Plan) -> T) -> T {
        self.plan.posture = self.postures.file;
        let seen = look(&self.plan);
        self.plan.posture = self.postures.in_force();
        seen
    }

    /// Lets the operator's posture hold in a plan that comes from files. Gives
    /// what those say.
    pub(super) fn keep_posture(&self, plan: &mut Plan) -> Postures {
        let postures = Postures { file: plan.posture, ..self.postures };
        if postures.in_force() != plan.posture {
            put(plan, postures.in_force());
        }
        postures
    }

    /// Reminds of a posture that the files do not say.
    pub(super) fn posture_reminder(&self) -> Option<String> {
        let Postures { file, chosen } = self.postures;
        let chosen = chosen.filter(|chosen| *chosen != file)?;
        Some(format!(
            "warning: posture {} of the operator holds, not {} as sipguard.toml says: `sipguard \
             posture file` ends that",
            chosen.name(),
            file.name()
        ))
    }
}

fn put(plan: &mut Plan, posture: Posture) {
    plan.posture = posture;
    plan.write_settings();
}
