//! A TCP relay between a sidecar and its API server, which can be cut.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Listens on the API server's own address, so that its certificate holds, and forwards to it.
#[derive(Debug)]
pub struct Relay {
    pub address: SocketAddr,
    line: watch::Sender<Line>,
    task: JoinHandle<()>,
}

/// Whether connections pass. The count makes two cuts in a row two events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Whole { cuts: u32 },
    Cut,
}

impl Relay {
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((server.ip(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (line, seen) = watch::channel(Line::Whole { cuts: 0 });
        let task = tokio::spawn(forward(listener, server, seen));
        Self {
            address,
            line,
            task,
        }
    }

    /// Ends the connections there are; new ones pass.
    pub fn interrupt(&self) {
        self.line.send_modify(|line| {
            if let Line::Whole { cuts } = line {
                *cuts += 1;
            }
        });
    }

    /// Ends the connections there are, and new ones at once.
    pub fn cut(&self) {
        self.line.send_replace(Line::Cut);
    }

    pub fn mend(&self) {
        self.line.send_replace(Line::Whole { cuts: 0 });
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(listener: TcpListener, server: SocketAddr, mut line: watch::Receiver<Line>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            changed = line.changed() => {
                if changed.is_err() {
                    return;
                }
                connections.abort_all();
            }
            Ok((mut client, _)) = listener.accept() => {
                if *line.borrow() != Line::Cut {
                    connections.spawn(async move {
                        if let Ok(mut upstream) = TcpStream::connect(server).await {
                            let _ = copy_bidirectional(&mut client, &mut upstream).await;
                        }
                    });
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
