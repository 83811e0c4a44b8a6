//! Messages of Protocol Buffers without a schema: the fields of one, and what is put into one. Source: their encoding,
//! as protobuf.dev has it.

/// A field's value. Of those that nobody here asks for it is only known where they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Other,
}

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// The fields of a message in their order, by number. A `None` ends them where the message is cut short, or is none.
pub fn fields(mut message: &[u8]) -> impl Iterator<Item = Option<(u64, Value)>> {
    std::iter::from_fn(move || {
        if message.is_empty() {
            return None;
        }
        let field = take_field(&mut message);
        if field.is_none() {
            message = &[];
        }
        Some(field)
    })
}

fn take_field(message: &mut &[u8]) -> Option<(u64, Value)> {
    let key = take_varint(message)?;
    let value = match key & 7 {
        VARINT => Value::Varint(take_varint(message)?),
        FIXED64 => {
            let (bytes, rest) = message.split_first_chunk()?;
            *message = rest;
            Value::Fixed64(*bytes)
        }
        kind @ (LENGTH | FIXED32) => {
            let length = match kind {
                LENGTH => usize::try_from(take_varint(message)?).ok()?,
                _ => 4,
            };
            *message = message.get(length..)?;
            Value::Other
        }
        _ => return None,
    };
    Some((key >> 3, value))
}

/// Adds a field with text or bytes.
pub fn push_bytes(message: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    push_varint(message, number << 3 | LENGTH);
    push_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push((value & 0x7f) as u8);
}

/// At most ten bytes, seven bits each.
fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let read: Vec<_> = fields(&bytes).collect();
            let malformed = read.iter().position(Option::is_none);
            prop_assert!(malformed.is_none_or(|place| place + 1 == read.len()));
        }

        #[test]
        fn a_varint_reads_as_it_was_written(value in any::<u64>()) {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, value);
            let mut rest = &bytes[..];
            prop_assert_eq!(take_varint(&mut rest), Some(value));
            prop_assert!(rest.is_empty());
        }
    }
}
