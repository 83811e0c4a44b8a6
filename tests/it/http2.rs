//! HTTP/2 on either side.

mod carrying;
mod farewell;
mod floods;
mod framing;
mod hostile;
mod moving;
mod sharing;
mod silence;
