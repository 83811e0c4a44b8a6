//! HTTP/2 frame by frame, for scenes where one side breaks the rules.

use std::io;

use super::wire::Wire;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload: payload.into(),
        }
    }

    /// Settings by their identifiers.
    pub fn settings(settings: &[(u16, u32)]) -> Self {
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat())
            .collect();
        Self::new(SETTINGS, 0, 0, payload)
    }

    /// The head of a GET on a stream, all of it.
    pub fn get(stream: u32, path: &str) -> Self {
        let fields = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "shop"),
            (":path", path),
        ];
        Self::new(HEADERS, END_HEADERS | END_STREAM, stream, block(&fields))
    }

    /// A response's head.
    pub fn response(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Self {
        Self::new(HEADERS, END_HEADERS | flags, stream, block(fields))
    }

    pub fn reset(stream: u32, code: u32) -> Self {
        Self::new(RST_STREAM, 0, stream, code.to_be_bytes())
    }

    pub fn goaway(last: u32, code: u32) -> Self {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        Self::new(GOAWAY, 0, 0, payload)
    }

    /// The code of a RST_STREAM or a GOAWAY.
    pub fn code(&self) -> u32 {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            kind => panic!("frame of type {kind} has no code"),
        };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    pub fn is(&self, kind: u8) -> bool {
        self.kind == kind
    }
}

/// Fields as literals, without compression (RFC 7541 section 6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541 section 5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        block.push(u8::try_from(length).unwrap());
        return;
    };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

impl Wire {
    pub async fn send_frame(&mut self, frame: &Frame) -> io::Result<()> {
        self.send(frame.bytes()).await
    }

    /// The next frame; an end between frames is an error too.
    pub async fn frame(&mut self) -> io::Result<Frame> {
        let head = self.exact(9).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Ok(Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload: self.exact(usize::try_from(length).unwrap()).await?,
        })
    }

    /// The next frame of that type; settings and pings that come before it are acknowledged, others passed over.
    pub async fn frame_of(&mut self, kind: u8) -> io::Result<Frame> {
        loop {
            let frame = self.frame().await?;
            if frame.kind == kind {
                return Ok(frame);
            }
            if matches!(frame.kind, SETTINGS | PING) && frame.flags & ACK == 0 {
                let payload = if frame.is(PING) {
                    frame.payload
                } else {
                    Vec::new()
                };
                self.send_frame(&Frame::new(frame.kind, ACK, 0, payload))
                    .await?;
            }
        }
    }

    /// Begins as a client does.
    pub async fn begin_as_client(&mut self, settings: &[(u16, u32)]) -> io::Result<()> {
        self.send(PREFACE).await?;
        self.send_frame(&Frame::settings(settings)).await
    }

    /// Begins as a server does.
    pub async fn begin_as_server(&mut self, settings: &[(u16, u32)]) -> io::Result<()> {
        let preface = self.exact(PREFACE.len()).await?;
        assert_eq!(preface, PREFACE);
        self.send_frame(&Frame::settings(settings)).await
    }
}
