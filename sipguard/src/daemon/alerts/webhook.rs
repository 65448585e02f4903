//! JSON to somebody's HTTP server. Blocks: for a thread that may wait.

use std::{fs::File, io::Read as _, path::Path, time::Duration};

use ureq::{Agent, Error};

use super::Trouble;
use crate::sanitise::sanitise;

/// Bytes of the largest token.
const MAX_TOKEN: u64 = 4096;

/// Bytes of an answer that is read to its end, so that the server is not cut off.
const MAX_ANSWER: u64 = 64 << 10;

/// Characters of an error.
const MAX_ERROR: usize = 200;

/// Who we say we are.
const AGENT: &str = concat!("sipguard/", env!("CARGO_PKG_VERSION"));

/// One try.
pub(super) fn post(
    url: &str,
    token_file: Option<&Path>,
    limit: Duration,
    body: &[u8],
) -> Result<String, Trouble> {
    let token = token_file.map(token).transpose()?;
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(limit))
        .http_status_as_error(false)
        // Who gets alerts is named in the file, not by whoever answers there.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(0)
        .user_agent(AGENT)
        .build()
        .into();
    let mut request = agent.post(url).content_type("application/json");
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let mut answer = request.send(body).map_err(|error| trouble(&error))?;
    let status = answer.status();
    // What it says is of no interest.
    let mut rest = answer.body_mut().as_reader().take(MAX_ANSWER);
    let _ = std::io::copy(&mut rest, &mut std::io::sink());
    let message = format!("answered {status}");
    match status.as_u16() {
        200..=299 => Ok(message),
        408 | 425 | 429 | 500..=599 => Err(Trouble::Passing(message)),
        _ => Err(Trouble::Lasting(message)),
    }
}

/// Read each time, for tokens are changed.
fn token(path: &Path) -> Result<String, Trouble> {
    let wrong = |why: String| Trouble::Lasting(format!("the token {}: {why}", path.display()));
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut text = String::new();
    file.take(MAX_TOKEN).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("it is no single word of ASCII".to_owned()));
    }
    Ok(token.to_owned())
}

fn trouble(error: &Error) -> Trouble {
    let message = sanitise(&error.to_string(), MAX_ERROR);
    match error {
        Error::Http(_) | Error::BadUri(_) | Error::InvalidProxyUrl | Error::Tls(_) => {
            Trouble::Lasting(message)
        }
        _ => Trouble::Passing(message),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::Write as _,
        net::TcpListener,
        thread::{self, JoinHandle},
        time::Instant,
    };

    use tempfile::TempDir;

    use super::*;

    const SECONDS: Duration = Duration::from_secs(10);

    /// Answers one request, and gives what was asked.
    fn server(answer: &'static str) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut buffer = [0; 1024];
            while !asked.ends_with(b"}") {
                let count = stream.read(&mut buffer).unwrap();
                if count == 0 {
                    break;
                }
                asked.extend_from_slice(&buffer[..count]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        (url, thread)
    }

    fn answered(answer: &'static str) -> Result<String, Trouble> {
        let (url, thread) = server(answer);
        let done = post(&url, None, SECONDS, b"{\"text\":1}");
        thread.join().unwrap();
        done
    }

    #[test]
    fn the_token_goes_along_and_the_body_is_json() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "s3cret\n").unwrap();
        let (url, thread) = server("HTTP/1.1 204 No Content\r\n\r\n");
        let done = post(&url, Some(&path), SECONDS, b"{\"text\":1}");
        assert_eq!(done, Ok("answered 204 No Content".to_owned()));
        let asked = thread.join().unwrap();
        let head = asked.to_lowercase();
        assert!(asked.starts_with("POST /hook HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("Bearer s3cret\r\n"), "{asked}");
        assert!(head.contains("content-type: application/json\r\n"), "{asked}");
        assert!(asked.ends_with("{\"text\":1}"), "{asked}");
        fs::write(&path, "two words\n").unwrap();
        assert!(matches!(post(&url, Some(&path), SECONDS, b"{}"), Err(Trouble::Lasting(_))));
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let passing = answered("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(passing, Err(Trouble::Passing("answered 503 Service Unavailable".to_owned())));
        let lasting = answered("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(lasting, Err(Trouble::Lasting("answered 404 Not Found".to_owned())));
        let moved =
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(answered(moved), Err(Trouble::Lasting("answered 302 Found".to_owned())));
        assert!(matches!(answered("nonsense\r\n\r\n"), Err(Trouble::Passing(_))));
    }

    #[test]
    fn a_server_that_hangs_is_left() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let start = Instant::now();
        let done = post(&url, None, Duration::from_secs(1), b"{}");
        assert!(matches!(done, Err(Trouble::Passing(_))), "{done:?}");
        assert!(start.elapsed() < SECONDS);
    }
}
