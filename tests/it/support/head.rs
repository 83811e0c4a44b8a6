//! Heads and whole messages as they stood on the wire.

/// A request's or response's head, every byte as it came (one `char` a byte, so that nothing is lost).
#[derive(Clone, Debug)]
pub struct Head {
    /// The whole text, first line to empty line.
    pub text: String,
    /// The first line.
    pub line: String,
    fields: Vec<(String, String)>,
}

/// A head with its body, transfer coding undone.
#[derive(Clone, Debug)]
pub struct Message {
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// One `char` a byte.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Name and value of each line; the value without the white space around it.
pub fn fields(text: &str) -> Vec<(String, String)> {
    text.split("\r\n")
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
        })
        .collect()
}

impl Head {
    pub fn parse(bytes: &[u8]) -> Self {
        let text = latin1(bytes);
        let (line, rest) = text.split_once("\r\n").unwrap_or((&text, ""));
        Self {
            line: line.to_owned(),
            fields: fields(rest),
            text,
        }
    }

    /// The first field of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Every field of that name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Field names in their order, in lower case.
    pub fn names(&self) -> Vec<String> {
        self.fields
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect()
    }

    /// The status code of a response.
    pub fn status(&self) -> u16 {
        self.line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("no status in {:?}", self.line))
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// The target of a request.
    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    pub fn request_framing(&self) -> Framing {
        self.named_framing().unwrap_or(Framing::Length(0))
    }

    pub fn response_framing(&self) -> Framing {
        match self.status() {
            100..200 | 204 | 304 => Framing::Length(0),
            _ => self.named_framing().unwrap_or(Framing::UntilClose),
        }
    }

    fn named_framing(&self) -> Option<Framing> {
        if self.field("transfer-encoding").is_some() {
            return Some(Framing::Chunked);
        }
        let length = self.field("content-length")?;
        Some(Framing::Length(
            length
                .parse()
                .unwrap_or_else(|_| panic!("content-length {length:?}")),
        ))
    }
}

impl Message {
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }

    pub fn text(&self) -> String {
        latin1(&self.body)
    }

    /// The name of the pod that answered.
    pub fn pod(&self) -> &str {
        self.field("x-pod")
            .unwrap_or_else(|| panic!("no pod answered: {self:?}"))
    }

    /// The flag, where the answer is the sidecar's own.
    pub fn flag(&self) -> Option<&str> {
        self.field("x-podrobin-error")
    }
}
