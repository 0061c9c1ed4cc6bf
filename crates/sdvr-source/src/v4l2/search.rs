//! Finding a camera again: by its name, under whatever node and in whatever port. One that has twins is known by its port alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::names::{Facts, known_nodes, names_of_twins};

/// What a camera is looked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    name: String,
    place: String,
    /// Whether another one of the same name was ever seen: then a picture from another port may be another camera's.
    has_twin: bool,
    /// When a node came or went, as far as that was looked at.
    nodes_changed: Option<SystemTime>,
}

impl Search {
    /// For the camera that is at a node now.
    pub(crate) fn of(node: &Path) -> Self {
        let facts = Facts::of_node(node);
        let mut search = Self {
            name: facts.stable_name(),
            place: facts.place,
            has_twin: false,
            nodes_changed: nodes_changed(),
        };
        search.candidates(&known_nodes());
        search
    }

    /// The nodes that may be the camera's, the one where it was first.
    pub(crate) fn nodes(&mut self, before: &Path) -> Vec<PathBuf> {
        let mut nodes = self.candidates(&known_nodes());
        nodes.sort_by_key(|node| node != before);
        nodes
    }

    /// Whether a twin has come: while both are there, one can be told from the other. Costs next to nothing while no node comes or goes.
    pub(crate) fn look_for_twins(&mut self) {
        let changed = nodes_changed();
        if changed.is_none() || changed != self.nodes_changed {
            self.nodes_changed = changed;
            self.candidates(&known_nodes());
        }
    }

    /// It was found there.
    pub(crate) fn found(&mut self, node: &Path) {
        self.place = Facts::of_node(node).place;
    }

    fn candidates(&mut self, nodes: &[(PathBuf, Facts)]) -> Vec<PathBuf> {
        let alike = || {
            nodes
                .iter()
                .filter(|(_, facts)| facts.stable_name() == self.name)
        };
        let is_here = alike().any(|(_, facts)| facts.place == self.place);
        let twins = names_of_twins(alike().map(|(_, facts)| facts.name_and_place()));
        let has_twin = self.has_twin || is_here && twins.contains(&self.name);
        let own = alike().filter(|(_, facts)| !has_twin || facts.place == self.place);
        let own = own.map(|(node, _)| node.clone()).collect();
        self.has_twin = has_twin;
        own
    }
}

/// When a node last came or went; `None` when the system does not say.
fn nodes_changed() -> Option<SystemTime> {
    fs::metadata("/dev").and_then(|facts| facts.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(nodes: &[(&str, &str, &str)]) -> Vec<(PathBuf, Facts)> {
        let nodes = nodes.iter().map(|(node, name, place)| {
            let facts = Facts {
                name: (*name).to_owned(),
                place: (*place).to_owned(),
                usb: Some(crate::v4l2::names::Usb::default()),
                ..Facts::default()
            };
            (PathBuf::from(node), facts)
        });
        nodes.collect()
    }

    fn search() -> Search {
        Search {
            name: "cam".to_owned(),
            place: "1-1".to_owned(),
            has_twin: false,
            nodes_changed: None,
        }
    }

    #[test]
    fn a_camera_is_found_in_another_port_under_another_node() {
        let found = search().candidates(&nodes(&[
            ("video0", "other", "1-1"),
            ("video2", "cam", "1-2"),
        ]));
        assert_eq!(found, [PathBuf::from("video2")]);
    }

    #[test]
    fn a_twin_is_never_taken_for_the_camera() {
        let mut search = search();
        let found = search.candidates(&nodes(&[
            ("video0", "cam", "1-1"),
            ("video2", "cam", "1-2"),
        ]));
        assert_eq!(found, [PathBuf::from("video0")]);
        // Now it is away, and its twin is not.
        assert_eq!(
            search.candidates(&nodes(&[("video2", "cam", "1-2")])),
            [""; 0].map(PathBuf::from)
        );
        let found = search.candidates(&nodes(&[("video5", "cam", "1-1")]));
        assert_eq!(found, [PathBuf::from("video5")]);
    }
}
