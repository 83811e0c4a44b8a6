//! One TCP connection, read and written by hand: the same for clients and pods.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::head::{Framing, Head, Message, fields, latin1};

#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    /// Read from the stream, asked for by nobody yet.
    buffer: Vec<u8>,
}

impl Wire {
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect(address).await?)
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// The connection itself; nothing was read from it yet.
    pub fn into_stream(self) -> TcpStream {
        assert!(self.buffer.is_empty());
        self.stream
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Ends our side; the other may still speak.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Ends both sides with a RST.
    pub fn reset(self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }

    /// Up to and with `mark`; nothing at the end of the stream. An end in the middle is an error.
    pub async fn until(&mut self, mark: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut searched = 0_usize;
        loop {
            let from = searched.saturating_sub(mark.len());
            let found = self.buffer[from..]
                .windows(mark.len())
                .position(|window| window == mark);
            if let Some(at) = found {
                return Ok(Some(self.take(from + at + mark.len())));
            }
            searched = self.buffer.len();
            if self.more().await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(self.cut_short()),
                };
            }
        }
    }

    /// So many bytes and no fewer.
    pub async fn exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            if self.more().await? == 0 {
                return Err(self.cut_short());
            }
        }
        Ok(self.take(count))
    }

    /// Reads so many bytes and forgets them.
    pub async fn skim(&mut self, count: usize) -> io::Result<()> {
        let mut left = count - self.take(count.min(self.buffer.len())).len();
        let mut scratch = vec![0; left.min(1 << 20)];
        while left > 0 {
            let most = left.min(scratch.len());
            match self.stream.read(&mut scratch[..most]).await? {
                0 => return Err(self.cut_short()),
                count => left -= count,
            }
        }
        Ok(())
    }

    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        let bytes = self.until(b"\r\n\r\n").await?;
        Ok(bytes.map(|bytes| Head::parse(&bytes)))
    }

    /// One chunk of a chunked body, empty for the last one (the trailers are still to be read).
    pub async fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = self.until(b"\r\n").await?.ok_or_else(|| self.cut_short())?;
        let line = latin1(&line);
        let size = usize::from_str_radix(line.trim(), 16)
            .map_err(|_| io::Error::new(ErrorKind::InvalidData, format!("chunk size {line:?}")))?;
        if size == 0 {
            return Ok(Vec::new());
        }
        let mut chunk = self.exact(size + 2).await?;
        chunk.truncate(size);
        Ok(chunk)
    }

    /// What follows the last chunk.
    pub async fn trailers(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut text = String::new();
        loop {
            let line = self.until(b"\r\n").await?.ok_or_else(|| self.cut_short())?;
            if line == b"\r\n" {
                return Ok(fields(&text));
            }
            text.push_str(&latin1(&line));
        }
    }

    /// The rest of the message whose head was read.
    pub async fn rest(&mut self, head: Head, framing: Framing) -> io::Result<Message> {
        let mut trailers = Vec::new();
        let mut body = Vec::new();
        match framing {
            Framing::Length(length) => body = self.exact(length).await?,
            Framing::Chunked => {
                loop {
                    let chunk = self.chunk().await?;
                    if chunk.is_empty() {
                        break;
                    }
                    body.extend(chunk);
                }
                trailers = self.trailers().await?;
            }
            Framing::UntilClose => {
                while self.more().await? > 0 {}
                body = std::mem::take(&mut self.buffer);
            }
        }
        Ok(Message {
            head,
            body,
            trailers,
        })
    }

    /// Waits for the other side's clean end; a byte or a RST is an error.
    pub async fn end(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() && self.more().await? == 0 {
            return Ok(());
        }
        let rest = latin1(&self.buffer);
        Err(io::Error::other(format!("not the end but {rest:?}")))
    }

    /// Waits for the other side to be gone, in whatever way, and throws away what it still says.
    pub async fn gone(&mut self) {
        self.buffer.clear();
        while matches!(self.more().await, Ok(1..)) {
            self.buffer.clear();
        }
    }

    async fn more(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.buffer).await
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.buffer.drain(..count).collect()
    }

    fn cut_short(&self) -> io::Error {
        let seen = self.buffer.len().min(200);
        let text = latin1(&self.buffer[..seen]);
        io::Error::new(ErrorKind::UnexpectedEof, format!("ended after {text:?}"))
    }
}
