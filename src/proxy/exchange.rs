//! One request, from what its client sent to a pod's response: checked, made ready for any pod, and answered in its time.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use http::{Request, Response, Version, header};
use http_body::Body;
use hyper::body::Incoming;

use super::answer::Failure;
use super::body::ResponseBody;
use super::client::Client;
use super::outgoing::{Deadline, Outgoing};
use super::record::Record;
use super::replay::{Keep, Replay};
use super::upgrade::{Protocols, Upgrade};
use super::{Proxy, grpc, headers, request, retry};
use crate::balance;
use crate::error::Kind;

impl Proxy {
    pub(super) async fn exchange(
        &self,
        request: Request<Incoming>,
        is_call: bool,
        client: &Client,
        record: &mut Record,
    ) -> Result<Response<ResponseBody>, Failure> {
        let outgoing = self.outgoing(request, is_call, client)?;
        let Some(Deadline { at, limit }) = outgoing.deadline else {
            return self.forward(outgoing, client, record).await;
        };
        // From the response's head on, the connection sees to it.
        if client.version() != Version::HTTP_2 {
            client.set_deadline(at);
        }
        let answered =
            tokio::time::timeout_at(at.into(), self.forward(outgoing, client, record)).await;
        let mut response = answered.unwrap_or_else(|_| {
            Err(Failure::new(
                Kind::RequestTimeout,
                format!("no response within the {limit:?} the request may take"),
            ))
        })?;
        if client.version() == Version::HTTP_2 {
            response.body_mut().must_end(at);
        }
        Ok(response)
    }

    /// The request as any pod may get it, if it is one that may go to a pod. Its time begins.
    fn outgoing(
        &self,
        request: Request<Incoming>,
        is_call: bool,
        client: &Client,
    ) -> Result<Outgoing, Failure> {
        let (mut head, body) = request.into_parts();
        let asked = is_call.then(|| grpc::timeout(&head.headers)).flatten();
        // As set, and as a caller says in gRPC's way, whichever is less.
        let timeout = [self.settings.timeouts.request, asked]
            .into_iter()
            .flatten()
            .min();
        request::check(&mut head, &client.raw_head(), &self.default_host)
            .map_err(|refusal| Failure::new(refusal.kind, refusal.reason))?;
        if head.version == Version::HTTP_2 {
            headers::from_http2(&mut head.headers, body.is_end_stream());
        }
        // The parser of HTTP/1.1 counts by itself.
        if head.headers.len() > self.settings.limits.header_count {
            let reason = "the request has too many header fields";
            return Err(Failure::new(Kind::HeaderTooLarge, reason));
        }
        let upgrade = self.upgrade(&head, body.is_end_stream())?;
        let hash_key = self.settings.hash_key.as_ref();
        let key = hash_key.and_then(|what| balance::key(what, &head, client.socket.ip()));
        self.budget.borrow_mut().deposit(Instant::now());
        headers::for_upstream(&mut head.headers, &client.address);
        if let Some(upgrade) = &upgrade {
            upgrade.offer.put(&mut head.headers);
        }
        // What a pod does once it has switched is nothing that could be done twice.
        let idempotent = retry::is_idempotent(&head.method) && upgrade.is_none();
        let may_return = retry::may_return(&self.settings.retry.on, idempotent, is_call);
        let keep = Keep {
            bytes: self.settings.limits.replay_bytes,
            on: may_return,
        };
        // A call's messages come when they come.
        let stall = (!is_call).then_some(self.settings.timeouts.client_stall);
        let expects_continue = head.headers.contains_key(header::EXPECT);
        Ok(Outgoing {
            method: head.method,
            uri: head.uri,
            headers: RefCell::new(head.headers),
            body: Replay::new(body, client.version(), keep, expects_continue),
            idempotent,
            may_return,
            is_call,
            stall,
            deadline: timeout.map(Deadline::after),
            upgrade: RefCell::new(upgrade),
            raced: Cell::new(false),
            key,
        })
    }

    /// The switch of protocols that a request asks for, if there is room for one more tunnel.
    fn upgrade(
        &self,
        head: &http::request::Parts,
        has_no_body: bool,
    ) -> Result<Option<Upgrade>, Failure> {
        let Some(offer) = Protocols::asked(head, has_no_body) else {
            return Ok(None);
        };
        let Some(place) = self.upgrades.enter() else {
            return Err(Failure::new(
                Kind::Overload,
                "too many upgraded connections",
            ));
        };
        Ok(Some(Upgrade { offer, place }))
    }
}
