//! SIP messages with sane defaults, line by line.

/// A message to build. Header lines keep the order in which they were given,
/// behind the default ones.
#[derive(Clone, Debug)]
pub struct Message {
    start: Vec<u8>,
    lines: Vec<Vec<u8>>,
    body: Vec<u8>,
    end_of_line: &'static str,
}

impl Message {
    /// A request with `Via`, `Max-Forwards`, `From`, `To`, `Call-ID` and
    /// `CSeq`, and without a User-Agent.
    #[must_use]
    pub fn request(method: &str, uri: &str) -> Self {
        Self::bare(format!("{method} {uri} SIP/2.0"))
            .header("Via", "SIP/2.0/UDP 198.51.100.7:5061;branch=z9hG4bK-77a1;rport")
            .header("Max-Forwards", "70")
            .header("From", "<sip:200@203.0.113.1>;tag=5d1f")
            .header("To", "<sip:100@203.0.113.1>")
            .header("Call-ID", "b1c4e6@198.51.100.7")
            .header("CSeq", &format!("1 {method}"))
    }

    /// A response such as `200 OK` to a request of that method, as a phone
    /// gives it to the server.
    #[must_use]
    pub fn response(status: &str, method: &str) -> Self {
        Self::bare(format!("SIP/2.0 {status}"))
            .header("Via", "SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bK-90aa")
            .header("From", "<sip:server@203.0.113.1>;tag=aa01")
            .header("To", "<sip:200@198.51.100.7>;tag=17")
            .header("Call-ID", "77aa@203.0.113.1")
            .header("CSeq", &format!("1 {method}"))
    }

    /// Only a start line.
    #[must_use]
    pub fn bare(start: impl AsRef<[u8]>) -> Self {
        Self {
            start: start.as_ref().to_vec(),
            lines: Vec::new(),
            body: Vec::new(),
            end_of_line: "\r\n",
        }
    }

    /// `name: value`.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.line(format!("{name}: {value}"))
    }

    /// `User-Agent: value`.
    #[must_use]
    pub fn agent(self, value: &str) -> Self {
        self.header("User-Agent", value)
    }

    /// One header line as it is; line ends inside make several.
    #[must_use]
    pub fn line(mut self, line: impl AsRef<[u8]>) -> Self {
        self.lines.push(line.as_ref().to_vec());
        self
    }

    /// Replaces the value of a header that is there.
    #[must_use]
    pub fn replace(mut self, name: &str, value: &str) -> Self {
        let prefix = format!("{name}:");
        let line = self.lines.iter_mut().find(|line| line.starts_with(prefix.as_bytes()));
        *line.unwrap_or_else(|| panic!("no {name} to replace")) =
            format!("{prefix} {value}").into_bytes();
        self
    }

    /// A body and its type. `Content-Length` is always right.
    #[must_use]
    pub fn body(mut self, kind: &str, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self.header("Content-Type", kind)
    }

    /// Ends lines with LF alone.
    #[must_use]
    pub fn lf(mut self) -> Self {
        self.end_of_line = "\n";
        self
    }

    /// The message with `Content-Length`, the empty line and the body.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let length = format!("Content-Length: {}", self.body.len());
        let with_length = Self { body: Vec::new(), ..self.clone() }.line(length);
        let mut bytes = with_length.head();
        bytes.extend_from_slice(self.end_of_line.as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Start line and header lines only: no `Content-Length`, no empty line.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let mut bytes = self.start.clone();
        bytes.extend_from_slice(self.end_of_line.as_bytes());
        for line in &self.lines {
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(self.end_of_line.as_bytes());
        }
        bytes
    }
}

/// A session description of one audio stream.
#[must_use]
pub fn sdp() -> &'static [u8] {
    b"v=0\r\no=- 4711 1 IN IP4 198.51.100.7\r\ns=call\r\nc=IN IP4 198.51.100.7\r\n\
      t=0 0\r\nm=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=sendrecv\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_end_with_an_empty_line_and_count_their_body() {
        let text = |message: &Message| String::from_utf8(message.build()).unwrap();
        let message = Message::bare("NOTIFY sip:x SIP/2.0").header("To", "<sip:y>");
        assert_eq!(
            text(&message),
            "NOTIFY sip:x SIP/2.0\r\nTo: <sip:y>\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(message.head(), b"NOTIFY sip:x SIP/2.0\r\nTo: <sip:y>\r\n");
        assert_eq!(
            text(&message.replace("To", "z").body("text/plain", "abc").lf()),
            "NOTIFY sip:x SIP/2.0\nTo: z\nContent-Type: text/plain\nContent-Length: 3\n\nabc"
        );
    }
}
