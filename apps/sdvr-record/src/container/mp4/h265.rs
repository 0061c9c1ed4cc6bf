//! What an H.265 sequence parameter set says that `hvcC` repeats (H.265, 7.3.2.2.1 and 7.3.3; ISO/IEC 14496-15, 8.3.3.1).

use mp4_atom::Hvcc;
use sdvr_frame::bits::{Bits, without_emulation_prevention};

/// All of the configuration but the parameter sets; `None` if the unit ends early or contradicts itself.
pub(super) fn configuration(sequence: &[u8]) -> Option<Hvcc> {
    let payload = without_emulation_prevention(sequence.get(2..)?);
    let mut bits = Bits::new(&payload);
    bits.take(4)?;
    let sub_layers = bits.take(3)?;
    let temporal_id_nested = bits.take(1)? == 1;
    // Profile, compatibility, constraints, level.
    let [profile, compatibility @ .., level] = *payload.get(1..13)?.first_chunk::<12>()?;
    let (general_profile_compatibility_flags, constraints) = compatibility.split_first_chunk()?;
    for _ in 0..12 {
        bits.take(8)?;
    }
    skip_sub_layers(&mut bits, sub_layers)?;
    let _id = bits.unsigned()?;
    let chroma_format = bits.unsigned()?;
    if chroma_format == 3 {
        bits.take(1)?;
    }
    let (_width, _height) = (bits.unsigned()?, bits.unsigned()?);
    if bits.take(1)? == 1 {
        for _ in 0..4 {
            bits.unsigned()?;
        }
    }
    let (luma, chroma) = (bits.unsigned()?, bits.unsigned()?);
    let narrow = |value: u32, most: u32| u8::try_from(value).ok().filter(|_| value <= most);
    Some(Hvcc {
        general_profile_space: profile >> 6,
        general_tier_flag: profile & 0x20 != 0,
        general_profile_idc: profile & 0x1f,
        general_profile_compatibility_flags: *general_profile_compatibility_flags,
        general_constraint_indicator_flags: *constraints.first_chunk()?,
        general_level_idc: level,
        chroma_format_idc: narrow(chroma_format, 3)?,
        bit_depth_luma_minus8: narrow(luma, 7)?,
        bit_depth_chroma_minus8: narrow(chroma, 7)?,
        num_temporal_layers: narrow(sub_layers, 6)?.checked_add(1)?,
        temporal_id_nested,
        length_size_minus_one: 3,
        ..Hvcc::new()
    })
}

/// Profiles and levels of sub-layers.
fn skip_sub_layers(bits: &mut Bits<'_>, sub_layers: u32) -> Option<()> {
    let mut are_there = Vec::new();
    for _ in 0..sub_layers {
        are_there.push((bits.take(1)? == 1, bits.take(1)? == 1));
    }
    if sub_layers > 0 {
        for _ in sub_layers..8 {
            bits.take(2)?;
        }
    }
    for (has_profile, has_level) in are_there {
        if has_profile {
            for _ in 0..11 {
                bits.take(8)?;
            }
        }
        if has_level {
            bits.take(8)?;
        }
    }
    Some(())
}
