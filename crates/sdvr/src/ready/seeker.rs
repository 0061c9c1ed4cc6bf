//! The thread that looks for cameras that are gone.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_ring::RingWatch;

use super::readiness::Shared;
use super::threads::locked;
use crate::place::{Listed, Sought};

/// How often orders are looked at while cameras are looked for.
const ORDER_INTERVAL: Duration = Duration::from_millis(200);
/// How often cameras are looked for without being told of a change: a ring that could not be opened may be opened later.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How many times as long as the last look took, the next one does not begin.
const LOOK_PAUSE: u32 = 4;
/// And how many times as long as opening all rings took, they are not opened again: a twentieth of a core at most.
const LIST_PAUSE: u32 = 20;
/// A busy machine makes a search seem long; a ring that has ended is there for two seconds, in which it must be found.
const LIST_PAUSE_MOST: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) struct Seeker {
    orders: Mutex<Orders>,
    has_orders: Condvar,
}

#[derive(Debug, Default)]
struct Orders {
    sought: BTreeMap<u64, Order>,
    has_ended: bool,
    /// Whether one was added that has not been looked for.
    has_new: bool,
}

#[derive(Clone, Debug)]
struct Order {
    shared: Arc<Shared>,
    /// Compared by its address: what was found for another order of the same place is thrown away.
    sought: Arc<Sought>,
}

impl Seeker {
    pub(super) fn start() -> io::Result<Arc<Self>> {
        let seeker = Arc::new(Self::default());
        let own = Arc::clone(&seeker);
        thread::Builder::new()
            .name("sdvr-seeker".to_owned())
            .spawn(move || own.run())?;
        Ok(seeker)
    }

    pub(super) fn end(&self) {
        locked(&self.orders).has_ended = true;
        self.has_orders.notify_one();
    }

    pub(super) fn seek(&self, place: u64, shared: Arc<Shared>, sought: Sought) {
        let sought = Arc::new(sought);
        let mut orders = locked(&self.orders);
        orders.sought.insert(place, Order { shared, sought });
        orders.has_new = true;
        self.has_orders.notify_one();
    }

    pub(super) fn forget(&self, place: u64) {
        locked(&self.orders).sought.remove(&place);
    }

    fn run(&self) {
        let mut watches: BTreeMap<PathBuf, RingWatch> = BTreeMap::new();
        let mut next_look = Timestamp::now();
        let mut next_list = next_look;
        // Whether all rings have to be opened again.
        let mut must_list = true;
        loop {
            let orders = {
                let mut orders = locked(&self.orders);
                while orders.sought.is_empty() && !orders.has_ended {
                    watches.clear();
                    orders = self
                        .has_orders
                        .wait(orders)
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                }
                if orders.has_ended {
                    return;
                }
                if std::mem::take(&mut orders.has_new) {
                    must_list = true;
                    next_look = Timestamp::now();
                }
                orders.sought.clone()
            };
            // Before anything is looked for, so that nothing comes unseen in between.
            watch(&mut watches, &orders);
            let start = Timestamp::now();
            if start >= next_look {
                must_list |= start >= next_list + LOOK_INTERVAL;
                let mut listed = (must_list && start >= next_list).then(Listed::default);
                for (place, order) in &orders {
                    self.look(*place, order, listed.as_mut());
                }
                let end = Timestamp::now();
                let cost = end.saturating_since(start);
                if listed.is_some() {
                    must_list = false;
                    next_list = end + (cost * LIST_PAUSE).min(LIST_PAUSE_MOST);
                }
                next_look = end + LOOK_INTERVAL;
                // Many changes one after the other are looked at together.
                thread::sleep((cost * LOOK_PAUSE).min(ORDER_INTERVAL));
            }
            let rest = next_look.saturating_since(Timestamp::now());
            let rest = if must_list {
                rest.min(next_list.saturating_since(Timestamp::now()))
            } else {
                rest
            };
            if RingWatch::wait_any(watches.values_mut(), rest.min(ORDER_INTERVAL)) {
                must_list = true;
                next_look = Timestamp::now();
            } else if must_list && Timestamp::now() >= next_list {
                next_look = Timestamp::now();
            }
        }
    }

    fn look(&self, place: u64, order: &Order, listed: Option<&mut Listed>) {
        let sought = &order.sought;
        let found = match (sought.reopen(), listed) {
            (Some(found), _) => Ok(Some(found)),
            (None, Some(listed)) => sought.find(listed),
            (None, None) => Ok(None),
        };
        let Some(found) = found.transpose() else {
            return;
        };
        let mut orders = locked(&self.orders);
        let is_same = |now: &Order| Arc::ptr_eq(&now.sought, sought);
        if orders.sought.get(&place).is_some_and(is_same) {
            orders.sought.remove(&place);
            drop(orders);
            order.shared.was_found(found);
        }
    }
}

/// Watches the directories in which what is sought may come, and no others.
fn watch(watches: &mut BTreeMap<PathBuf, RingWatch>, orders: &BTreeMap<u64, Order>) {
    let mut paths: Vec<PathBuf> = Vec::new();
    for order in orders.values() {
        paths.extend(order.sought.directories());
    }
    paths.sort();
    paths.dedup();
    watches.retain(|path, _| paths.contains(path));
    for path in paths {
        watches
            .entry(path)
            .or_insert_with_key(|path| RingWatch::new(path));
    }
}
