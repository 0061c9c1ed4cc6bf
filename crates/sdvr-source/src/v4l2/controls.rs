//! A camera's controls, by name: exposure, focus, gain, …

use std::fmt;
use std::str::FromStr;

use rustix::io::Errno;

use super::abi::{self, ControlEntry, ControlValue};
use super::device::{ControlTransfer, Device};
use super::text;

/// Drivers have fewer controls, and menus fewer entries. One that never comes to an end must not keep us.
const CONTROLS_MOST: usize = 1024;
const MENU_MOST: i64 = 256;

/// `NAME=VALUE`, as given with `--set`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlSetting {
    /// The control's name, in small letters with `_` between words.
    pub name: String,
    /// A number, `on`, `off`, or an entry of a menu.
    pub value: String,
}

impl FromStr for ControlSetting {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
                Ok(Self {
                    name: slug(name),
                    value: value.trim().to_owned(),
                })
            }
            _ => Err("use NAME=VALUE, such as brightness=128; --controls lists the names"),
        }
    }
}

/// A control of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlInfo {
    id: u32,
    /// Its name as `--set` takes it.
    pub name: String,
    /// What kind of value it has.
    pub kind: ControlKind,
    /// The least value.
    pub minimum: i64,
    /// The greatest value.
    pub maximum: i64,
    /// From one value to the next.
    pub step: u64,
    /// What it is when nobody sets it.
    pub default_value: i64,
    /// What it is now, where that can be read.
    pub value: Option<i64>,
    /// Whether it can be set at all.
    pub is_read_only: bool,
    /// Whether another control (mostly an automatic one) keeps it from having an effect now.
    pub is_inactive: bool,
}

/// What a control's value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlKind {
    /// A number.
    Integer,
    /// On or off.
    Boolean,
    /// One of these, by their numbers.
    Menu(Vec<(i64, String)>),
    /// Does something when it is set to anything.
    Button,
    /// Something that is not set from here.
    Other,
}

impl fmt::Display for ControlInfo {
    /// `brightness = 128 (0 to 255, default 128)`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        if let Some(value) = self.value {
            write!(formatter, " = {value}")?;
        }
        match &self.kind {
            ControlKind::Integer => {
                write!(formatter, " ({} to {}", self.minimum, self.maximum)?;
                if self.step > 1 {
                    write!(formatter, " by {}", self.step)?;
                }
                write!(formatter, ", default {})", self.default_value)?;
            }
            ControlKind::Boolean => {
                write!(formatter, " (0 or 1, default {})", self.default_value)?;
            }
            ControlKind::Menu(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(number, name)| format!("{number}: {name}"))
                    .collect();
                write!(
                    formatter,
                    " ({}; default {})",
                    entries.join(", "),
                    self.default_value
                )?;
            }
            ControlKind::Button => formatter.write_str(" (a button: set it to 1)")?,
            ControlKind::Other => formatter.write_str(" (not to be set from here)")?,
        }
        if self.is_read_only {
            formatter.write_str(", read-only")?;
        } else if self.is_inactive {
            formatter.write_str(", without effect now")?;
        }
        Ok(())
    }
}

/// Why a control cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// There is none of that name.
    #[error("it has no control {name}; it has {}", .has.join(", "))]
    Unknown {
        /// As given.
        name: String,
        /// Those there are.
        has: Vec<String>,
    },
    /// The value does not fit.
    #[error("{value:?} is no value for this control: {control}")]
    Value {
        /// As given.
        value: String,
        /// What the control takes, in words.
        control: String,
    },
    /// The driver refused.
    #[error("cannot set {name} to {value}: {error}")]
    Refused {
        /// Which control.
        name: String,
        /// The value.
        value: i64,
        /// What the system says.
        error: String,
    },
}

/// Asks the driver for all controls.
pub(crate) fn list(device: &Device) -> Vec<ControlInfo> {
    let mut controls = Vec::new();
    let mut id = 0;
    for _ in 0..CONTROLS_MOST {
        let mut entry = ControlEntry {
            id: id | abi::CONTROL_NEXT,
            ..Default::default()
        };
        if device.query_control(&mut entry).is_err() || entry.id <= id {
            break;
        }
        id = entry.id;
        // A class is a heading.
        const CLASS: u32 = 6;
        if entry.kind == CLASS || entry.flags & abi::CONTROL_DISABLED != 0 {
            continue;
        }
        controls.push(info(device, &entry));
    }
    controls
}

fn info(device: &Device, entry: &ControlEntry) -> ControlInfo {
    let kind = match entry.kind {
        1 | 5 | 8 => ControlKind::Integer,
        2 => ControlKind::Boolean,
        3 | 9 => ControlKind::Menu(menu(device, entry)),
        4 => ControlKind::Button,
        _ => ControlKind::Other,
    };
    let can_be_read = entry.flags & abi::CONTROL_WRITE_ONLY == 0
        && !matches!(kind, ControlKind::Button | ControlKind::Other);
    let value = can_be_read
        .then(|| read(device, entry.id, entry.kind))
        .flatten();
    ControlInfo {
        id: entry.id,
        name: slug(&text(&entry.name)),
        kind,
        minimum: entry.minimum,
        maximum: entry.maximum,
        step: entry.step,
        default_value: entry.default_value,
        value,
        is_read_only: entry.flags & abi::CONTROL_READ_ONLY != 0,
        is_inactive: entry.flags & abi::CONTROL_INACTIVE != 0,
    }
}

fn menu(device: &Device, entry: &ControlEntry) -> Vec<(i64, String)> {
    let last = entry.maximum.min(entry.minimum.saturating_add(MENU_MOST));
    let entries = (entry.minimum..=last).filter_map(|number| {
        let mut item = abi::MenuEntry {
            id: entry.id,
            index: u32::try_from(number).ok()?,
            ..Default::default()
        };
        // Menus have holes.
        device.query_menu(&mut item).ok()?;
        const INTEGER_MENU: u32 = 9;
        let name = if entry.kind == INTEGER_MENU {
            let bytes = item.name.first_chunk::<8>()?;
            i64::from_ne_bytes(*bytes).to_string()
        } else {
            text(&item.name)
        };
        Some((number, name))
    });
    entries.collect()
}

fn read(device: &Device, id: u32, kind: u32) -> Option<i64> {
    let mut value = ControlValue {
        id,
        ..Default::default()
    };
    device
        .transfer_control(ControlTransfer::Read, &mut value)
        .ok()?;
    const INTEGER64: u32 = 5;
    const BIT_MASK: u32 = 8;
    let half = *value.value.first_chunk::<4>()?;
    Some(match kind {
        INTEGER64 => i64::from_ne_bytes(value.value),
        BIT_MASK => u32::from_ne_bytes(half).into(),
        _ => i32::from_ne_bytes(half).into(),
    })
}

/// Sets controls in the given order: some have an effect only after others.
pub(crate) fn apply(device: &Device, settings: &[ControlSetting]) -> Result<(), ControlError> {
    for setting in settings {
        // Asked anew each time: one control changes what others take.
        let controls = list(device);
        let control = find(&controls, &setting.name)?;
        let value = value_for(control, &setting.value)?;
        write(device, control.id, value).map_err(|error| ControlError::Refused {
            name: control.name.clone(),
            value,
            error: error.to_string(),
        })?;
    }
    Ok(())
}

fn write(device: &Device, id: u32, value: i64) -> Result<(), Errno> {
    let mut bytes = [0; 8];
    // The kernel reads half of the union for most kinds, and that half is first.
    match i32::try_from(value) {
        Ok(small) if cfg!(target_endian = "big") => {
            let [first, ..] = bytes.as_chunks_mut::<4>().0 else {
                return Err(Errno::INVAL);
            };
            *first = small.to_ne_bytes();
        }
        _ => bytes = value.to_ne_bytes(),
    }
    let mut value = ControlValue {
        id,
        value: bytes,
        ..Default::default()
    };
    device.transfer_control(ControlTransfer::Write, &mut value)
}

/// Asks an encoder for a key frame; false when the device has no such control.
pub(crate) fn force_key_frame(device: &Device) -> bool {
    write(device, abi::FORCE_KEY_FRAME, 1).is_ok()
}

/// The control of that name, or of the same words in another order: `exposure_auto` is newer kernels' `auto_exposure`.
fn find<'a>(controls: &'a [ControlInfo], name: &str) -> Result<&'a ControlInfo, ControlError> {
    let words = |name: &str| {
        let mut words: Vec<String> = name.split('_').map(str::to_owned).collect();
        words.sort();
        words
    };
    let exact = controls.iter().find(|control| control.name == name);
    let similar = || {
        controls
            .iter()
            .find(|control| words(&control.name) == words(name))
    };
    exact.or_else(similar).ok_or_else(|| ControlError::Unknown {
        name: name.to_owned(),
        has: controls
            .iter()
            .map(|control| control.name.clone())
            .collect(),
    })
}

/// The number that a text means to a control.
fn value_for(control: &ControlInfo, wanted: &str) -> Result<i64, ControlError> {
    let number = wanted.parse::<i64>().ok();
    let value = match &control.kind {
        ControlKind::Integer => {
            number.filter(|number| (control.minimum..=control.maximum).contains(number))
        }
        ControlKind::Boolean => match wanted.to_ascii_lowercase().as_str() {
            "1" | "on" | "true" | "yes" => Some(1),
            "0" | "off" | "false" | "no" => Some(0),
            _ => None,
        },
        ControlKind::Menu(entries) => entries
            .iter()
            .find(|(own, name)| Some(*own) == number || slug(name) == slug(wanted))
            .map(|(own, _)| *own),
        ControlKind::Button => Some(1),
        ControlKind::Other => None,
    };
    value
        .filter(|_| !control.is_read_only)
        .ok_or_else(|| ControlError::Value {
            value: wanted.to_owned(),
            control: control.to_string(),
        })
}

/// Small letters and digits, with `_` for all that is in between, as v4l2-ctl has it.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for character in name.trim().chars() {
        if character.is_alphanumeric() {
            slug.extend(character.to_lowercase());
        } else if !slug.ends_with('_') && !slug.is_empty() {
            slug.push('_');
        }
    }
    slug.trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(name: &str, kind: ControlKind) -> ControlInfo {
        ControlInfo {
            id: 1,
            name: slug(name),
            kind,
            minimum: -10,
            maximum: 255,
            step: 5,
            default_value: 0,
            value: Some(3),
            is_read_only: false,
            is_inactive: false,
        }
    }

    #[test]
    fn settings_are_read_as_people_write_them() {
        let setting = |text: &str| text.parse::<ControlSetting>();
        let read = setting("Exposure, Auto = Manual Mode").unwrap();
        assert_eq!(
            (read.name.as_str(), read.value.as_str()),
            ("exposure_auto", "Manual Mode")
        );
        for wrong in ["", "x", "=1", "x=", " = "] {
            assert!(setting(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_have_a_range_and_menus_have_names() {
        let integer = control("Brightness", ControlKind::Integer);
        assert_eq!(value_for(&integer, "-10"), Ok(-10));
        let error = value_for(&integer, "256").unwrap_err().to_string();
        assert!(
            error.contains("brightness = 3 (-10 to 255 by 5, default 0)"),
            "{error}"
        );
        let boolean = control("Flip", ControlKind::Boolean);
        assert_eq!(value_for(&boolean, "On"), Ok(1));
        assert!(value_for(&boolean, "2").is_err());
        let entries = vec![
            (1, "Manual Mode".to_owned()),
            (3, "Aperture Priority".to_owned()),
        ];
        let menu = control("Auto Exposure", ControlKind::Menu(entries));
        assert_eq!(value_for(&menu, "3"), Ok(3));
        assert_eq!(value_for(&menu, "manual mode"), Ok(1));
        let error = value_for(&menu, "2").unwrap_err().to_string();
        assert!(
            error.contains("1: Manual Mode, 3: Aperture Priority"),
            "{error}"
        );
        let fixed = ControlInfo {
            is_read_only: true,
            ..integer
        };
        assert!(value_for(&fixed, "1").is_err());
    }

    #[test]
    fn unknown_names_are_answered_with_those_there_are() {
        let controls = [
            control("Brightness", ControlKind::Integer),
            control("Auto Exposure", ControlKind::Boolean),
        ];
        assert_eq!(find(&controls, "brightness").unwrap().name, "brightness");
        assert_eq!(
            find(&controls, "exposure_auto").unwrap().name,
            "auto_exposure"
        );
        let error = find(&controls, "contrast").unwrap_err().to_string();
        assert_eq!(
            error,
            "it has no control contrast; it has brightness, auto_exposure"
        );
    }
}
