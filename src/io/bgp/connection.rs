//! One TCP connection of a neighbour: reading into a buffer that all sessions of a thread share, writing from
//! its outbox, and an end that lets a NOTIFICATION arrive.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::outbox::{Outbox, SLICES_PER_WRITE};
use crate::session::{ConnId, FLUSH_TIMEOUT};

/// Most that one read takes.
const READ_LEN_MAX: usize = 64 * 1024;
/// How long the end of a connection waits for the peer to close its side, once all is written. A socket that is
/// closed with unread octets sends RST, which can destroy a NOTIFICATION on its way.
const LINGER: Duration = Duration::from_secs(1);

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_LEN_MAX]);
}

/// A connection that is up.
pub(super) struct Connection {
    /// Its id.
    pub(super) id: ConnId,
    /// What waits to be written.
    pub(super) outbox: Outbox,
    stream: TcpStream,
}

/// What one read gave.
pub(super) enum Read<T> {
    /// Octets; `T` is what was made of them.
    Octets(T),
    /// Nothing is there now.
    Nothing,
    /// The connection ended, in words.
    Ended(io::Result<()>),
}

impl Connection {
    /// Wraps a connected stream.
    pub(super) fn new(id: ConnId, stream: TcpStream) -> Self {
        Self { id, stream, outbox: Outbox::default() }
    }

    /// Reads what is there, up to a limit, and hands it to `consume`.
    pub(super) fn read<T>(&self, consume: impl FnOnce(&[u8]) -> T) -> Read<T> {
        READ_BUFFER.with_borrow_mut(|buffer| match self.stream.try_read(buffer) {
            Ok(0) => Read::Ended(Ok(())),
            Ok(len) => Read::Octets(consume(buffer.get(..len).unwrap_or_default())),
            Err(error) if retry(&error) => Read::Nothing,
            Err(error) => Read::Ended(Err(error)),
        })
    }

    /// Writes until the outbox is empty or the kernel takes no more; returns how many octets left.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn write(&mut self) -> io::Result<usize> {
        let mut total = 0;
        while self.outbox.pending() > 0 {
            let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
            let used = self.outbox.slices(&mut slices);
            match self.stream.try_write_vectored(slices.get(..used).unwrap_or_default()) {
                Ok(written) => {
                    self.outbox.advance(written);
                    total += written;
                }
                Err(error) if retry(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    /// Whether there may be something to read.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_read_ready(cx).map(|_| ())
    }

    /// Whether there is something to write and the kernel may take it.
    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.outbox.pending() == 0 { Poll::Pending } else { self.stream.poll_write_ready(cx).map(|_| ()) }
    }

    /// Ends the connection now: what waits is dropped, in the kernel too.
    pub(super) fn abort(self) {
        // Should this fail, the kernel drops what waits after its own time-out.
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Ends the connection: writes what the session sent last, tells the peer that nothing more comes, and reads
    /// for a moment what is in flight. Takes [`FLUSH_TIMEOUT`] at most.
    pub(super) async fn close(mut self) {
        self.outbox.drop_table();
        let give_up = Instant::now() + FLUSH_TIMEOUT;
        // A peer that does not read, or is gone, cannot be told anything; the socket just closes.
        let _ = timeout_at(give_up, async {
            while self.outbox.pending() > 0 {
                self.stream.writable().await?;
                self.write()?;
            }
            self.stream.shutdown().await
        })
        .await;
        let _ = timeout_at(give_up.min(Instant::now() + LINGER), async {
            let mut scrap = [0; 4096];
            while self.stream.read(&mut scrap).await? > 0 {}
            io::Result::Ok(())
        })
        .await;
    }
}

fn retry(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
