//! Which of the known cameras a device is, for `--all`.
//!
//! A camera keeps its name for as long as the program runs: also in another port, and when a twin of it (of the same product, neither with
//! a serial number) comes later. Twins are known by their ports.

use std::collections::BTreeSet;

use sdvr_source::v4l2::DeviceInfo;

/// A camera that is or was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// What it is called; no other is.
    pub(crate) name: String,
    product_name: String,
    place: String,
}

/// The cameras in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    known: Vec<Known>,
    /// Products of which there ever were several here: each is called after its port from the beginning.
    twins: BTreeSet<String>,
}

impl Roster {
    /// No cameras yet, of these products several.
    pub(crate) const fn new(twins: BTreeSet<String>) -> Self {
        Self {
            known: Vec::new(),
            twins,
        }
    }

    /// The products of which there ever were several.
    pub(crate) const fn twins(&self) -> &BTreeSet<String> {
        &self.twins
    }

    /// For each device that is there now, which camera it is, by its index. New ones are added.
    pub(crate) fn recognise(&mut self, devices: &[DeviceInfo]) -> Vec<usize> {
        let twins = devices.iter().filter(|device| device.has_twin);
        self.twins
            .extend(twins.map(|device| device.product_name.clone()));
        devices
            .iter()
            .map(|device| self.index_of(device).unwrap_or_else(|| self.add(device)))
            .collect()
    }

    pub(crate) fn name(&self, index: usize) -> &str {
        self.known.get(index).map_or("", |known| &known.name)
    }

    fn index_of(&mut self, device: &DeviceInfo) -> Option<usize> {
        let is_alike = |known: &Known| known.product_name == device.product_name;
        let has_twin = self.twins.contains(&device.product_name);
        let index = self
            .known
            .iter()
            .position(|known| is_alike(known) && known.place == device.place)
            .or_else(|| {
                // It has moved.
                self.known
                    .iter()
                    .position(|known| is_alike(known) && !has_twin)
            })?;
        if let Some(known) = self.known.get_mut(index) {
            known.place.clone_from(&device.place);
        }
        Some(index)
    }

    fn add(&mut self, device: &DeviceInfo) -> usize {
        let wanted = if self.twins.contains(&device.product_name) {
            device.name_with_port()
        } else {
            device.product_name.clone()
        };
        let is_free = |name: &str| self.known.iter().all(|known| known.name != name);
        let numbered = (2..).map(|number: u32| format!("{wanted}-{number}"));
        let name = std::iter::once(wanted.clone())
            .chain(numbered)
            .find(|name| is_free(name));
        self.known.push(Known {
            name: name.unwrap_or_default(),
            product_name: device.product_name.clone(),
            place: device.place.clone(),
        });
        self.known.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A device of a product in a port.
    fn device(product: &str, place: &str, has_twin: bool) -> DeviceInfo {
        DeviceInfo {
            path: PathBuf::new(),
            stable_name: if has_twin {
                format!("{product}-{place}")
            } else {
                product.to_owned()
            },
            product_name: product.to_owned(),
            has_twin,
            place: place.to_owned(),
            card: String::new(),
            driver: String::new(),
            bus: place.to_owned(),
            problem: None,
        }
    }

    fn names(roster: &Roster, indices: &[usize]) -> Vec<String> {
        let names = indices.iter().map(|index| roster.name(*index).to_owned());
        names.collect()
    }

    #[test]
    fn a_camera_keeps_its_name_in_another_port() {
        let mut roster = Roster::default();
        assert_eq!(roster.recognise(&[device("a", "1", false)]), [0]);
        assert_eq!(
            roster.recognise(&[device("b", "1", false), device("a", "2", false)]),
            [1, 0]
        );
        assert_eq!(roster.recognise(&[device("a", "1", false)]), [0]);
    }

    #[test]
    fn a_camera_keeps_its_name_when_a_twin_comes() {
        let mut roster = Roster::default();
        roster.recognise(&[device("cam", "1", false)]);
        let twins = [device("cam", "1", true), device("cam", "2", true)];
        let indices = roster.recognise(&twins);
        assert_eq!(names(&roster, &indices), ["cam", "cam-2"]);
        // Each is known by its port from now on, also when it is alone.
        assert_eq!(roster.recognise(&[device("cam", "2", false)]), [1]);
        // After the next start, whichever is found first is called after its port.
        let mut next = Roster::new(roster.twins().clone());
        let indices = next.recognise(&[device("cam", "1", false)]);
        assert_eq!(names(&next, &indices), ["cam-1"]);
        // A third one, or one of them in another port: nobody knows.
        let indices = roster.recognise(&[device("cam", "3", false)]);
        assert_eq!(names(&roster, &indices), ["cam-3"]);
    }

    #[test]
    fn no_name_is_given_twice() {
        let mut roster = Roster::default();
        roster.recognise(&[device("cam", "1", true), device("cam", "2", true)]);
        // A product that is called as one of the twins is with its port.
        let indices = roster.recognise(&[device("cam-1", "9", false)]);
        assert_eq!(names(&roster, &indices), ["cam-1-2"]);
    }
}
