//! A `xds.data.orca.v3.OrcaLoadReport` off the wire: four of its numbers, the rest passed over.

use super::LoadReport;

/// `None` where it is cut short, or no message.
pub(super) fn read(mut bytes: &[u8]) -> Option<LoadReport> {
    let mut report = LoadReport::default();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let field = tag >> 3;
        if field == 0 {
            return None;
        }
        match tag & 7 {
            VARINT => drop(varint(&mut bytes)?),
            FIXED64 => {
                let (number, rest) = bytes.split_first_chunk()?;
                bytes = rest;
                let number = f64::from_le_bytes(*number);
                match field {
                    1 => report.cpu_utilization = number,
                    6 => report.rps_fractional = number,
                    7 => report.eps = number,
                    9 => report.application_utilization = number,
                    _ => {}
                }
            }
            LENGTH => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                bytes = bytes.split_at_checked(length)?.1;
            }
            FIXED32 => bytes = bytes.split_at_checked(4)?.1,
            _ => return None,
        }
    }
    Some(report)
}

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// At most ten bytes, seven bits each.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
