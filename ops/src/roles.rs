//! The roles a node can run, one per stage.
use anyhow::bail;

/// A stage's loops, run or not run by this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The HTTP server.
    Ingress,
    /// `Pacer` and `SlotEnder`.
    WaitingRoom,
    /// `HoldSweeper` and `OutcomeApplier`.
    Allocator,
    /// `PaymentWorker` and `Reconciler`.
    PaymentWorker,
    /// `Projector`.
    Ledger,
}

impl Role {
    pub(crate) const ALL: [Self; 5] =
        [Self::Ingress, Self::WaitingRoom, Self::Allocator, Self::PaymentWorker, Self::Ledger];

    fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::WaitingRoom => "waiting-room",
            Self::Allocator => "allocator",
            Self::PaymentWorker => "payment-worker",
            Self::Ledger => "ledger",
        }
    }
}

/// The roles that a list of names means; `all` is every role.
pub(crate) fn parse(names: &[String]) -> anyhow::Result<Vec<Role>> {
    let mut roles = Vec::new();
    for name in names {
        if name == "all" {
            return Ok(Role::ALL.to_vec());
        }
        let Some(role) = Role::ALL.into_iter().find(|role| role.name() == name) else {
            let known: Vec<_> = Role::ALL.iter().map(|role| role.name()).collect();
            bail!("roles: {name:?} is none of all, {}", known.join(", "));
        };
        if !roles.contains(&role) {
            roles.push(role);
        }
    }
    if roles.is_empty() {
        bail!("roles: name at least one");
    }
    Ok(roles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_roles_and_unknown_ones_are_named() {
        let parse = |names: &[&str]| parse(&names.iter().map(|n| (*n).into()).collect::<Vec<_>>());
        assert_eq!(parse(&["all"]).unwrap(), Role::ALL);
        assert_eq!(parse(&["ledger", "ledger"]).unwrap(), [Role::Ledger]);
        assert!(parse(&["cashier"]).unwrap_err().to_string().contains("\"cashier\""));
        assert!(parse(&[]).is_err());
    }
}
