//! Who gets which partition.

use std::collections::BTreeMap;

use super::group::MemberId;
use crate::record::Partition;

/// Spreads partitions evenly; whoever has one keeps it as far as that is even.
pub(super) fn spread<'a>(
    partitions: &'a [Partition],
    mut members: Vec<(MemberId, Vec<&'a Partition>)>,
) -> BTreeMap<&'a Partition, MemberId> {
    let mut targets = BTreeMap::new();
    if members.is_empty() {
        return targets;
    }
    let base = partitions.len() / members.len();
    let with_one_more = partitions.len() % members.len();
    members.sort_by_key(|(id, owned)| (std::cmp::Reverse(owned.len()), *id));
    let mut room = Vec::new();
    for (place, (id, owned)) in members.iter().enumerate() {
        let quota = base + usize::from(place < with_one_more);
        targets.extend(owned.iter().take(quota).map(|partition| (*partition, *id)));
        room.extend(std::iter::repeat_n(*id, quota.saturating_sub(owned.len())));
    }
    let free: Vec<&Partition> = partitions.iter().filter(|p| !targets.contains_key(p)).collect();
    targets.extend(free.into_iter().zip(room));
    targets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn everything_is_spread_evenly_and_little_moves(
            owners in proptest::collection::vec(proptest::option::of(0..5u64), 1..20),
            members in 1..6u64,
        ) {
            let partitions: Vec<Partition> =
                (0..owners.len()).map(|index| Partition::new("t", index as i32)).collect();
            let owned = |id: u64| {
                partitions.iter().zip(&owners).filter(|(_, o)| **o == Some(id)).map(|(p, _)| p).collect::<Vec<_>>()
            };
            let targets = spread(&partitions, (0..members).map(|id| (id, owned(id))).collect());
            prop_assert_eq!(targets.len(), partitions.len());
            for id in 0..members {
                let count = targets.values().filter(|owner| **owner == id).count();
                prop_assert!(count == partitions.len() / members as usize
                    || count == partitions.len() / members as usize + 1);
                let kept = owned(id).iter().filter(|p| targets[**p] == id).count();
                prop_assert_eq!(kept, owned(id).len().min(count));
            }
        }
    }
}
