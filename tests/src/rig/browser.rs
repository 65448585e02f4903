//! Chromium without a screen, in the server's namespace, driven by WebDriver.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{lab::Lab, process::Process, tool::Tool, wait};

/// How long a page may take to become what is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the driver listens, in a namespace of its own.
const PORT: u16 = 9515;

/// The name that WebDriver has for elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one page. It ends with this: it hangs on a pipe to its driver,
/// which is killed.
#[derive(Debug)]
pub struct Browser<'a> {
    lab: &'a Lab,
    session: String,
    _driver: Process,
}

impl<'a> Browser<'a> {
    /// Starts it with an empty page.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(lab: &'a Lab) -> Result<Self> {
        let home = lab.folder().join("browser");
        fs::create_dir_all(&home)?;
        let driver = Process::start(
            lab.server()
                .command(Tool::Chromedriver.path()?)?
                .arg(format!("--port={PORT}"))
                .env("HOME", &home)
                .env("TMPDIR", &home)
                .current_dir(&home),
        )?;
        driver.stdout().line(PATIENCE, |line| line.contains("started successfully"))?;
        let profile = format!("--user-data-dir={}", home.join("profile").display());
        let options = json!({
            "binary": Tool::Chromium.path()?,
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--disable-background-networking", "--disable-component-update", "--no-first-run",
                "--remote-debugging-pipe", "--hide-scrollbars", "--lang=en-GB", profile],
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let answer = ask(lab, "POST", "/session", &wanted)?;
        let session = answer["sessionId"].as_str().context("no session")?.to_owned();
        Ok(Self { lab, session, _driver: driver })
    }

    /// Opens a page.
    ///
    /// # Errors
    /// Where nobody answers there.
    pub fn open(&self, url: &str) -> Result<()> {
        self.ask("POST", "/url", &json!({ "url": url })).map(drop)
    }

    /// What the body of a function gives in the page.
    ///
    /// # Errors
    /// Where it throws.
    pub fn run(&self, script: &str) -> Result<Value> {
        self.ask("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true in the page.
    ///
    /// # Errors
    /// Where it is not in time.
    pub fn until(&self, condition: &str) -> Result<()> {
        wait::until(condition, PATIENCE, || {
            let script = format!("return Boolean({condition})");
            Ok(self.run(&script)?.as_bool().filter(|holds| *holds).map(drop))
        })
    }

    /// The text that people see of the first element.
    ///
    /// # Errors
    /// Where there is none.
    pub fn text(&self, selector: &str) -> Result<String> {
        let text =
            self.ask("GET", &format!("/element/{}/text", self.find(selector)?), &Value::Null)?;
        Ok(text.as_str().context("no text")?.to_owned())
    }

    /// Clicks where people would: what lies over the element gets it.
    ///
    /// # Errors
    /// Where it is not there, or cannot be reached.
    pub fn click(&self, selector: &str) -> Result<()> {
        let element = self.find(selector)?;
        self.ask("POST", &format!("/element/{element}/click"), &json!({})).map(drop)
    }

    /// Types into a field.
    ///
    /// # Errors
    /// Where it takes no text.
    pub fn type_into(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.find(selector)?;
        self.ask("POST", &format!("/element/{element}/value"), &json!({ "text": text })).map(drop)
    }

    /// A screen of this size in CSS pixels, each of so many real ones.
    ///
    /// # Errors
    /// Where the browser refuses.
    pub fn screen(&self, width: u32, height: u32, scale: f64, is_phone: bool) -> Result<()> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": scale,
            "mobile": is_phone });
        self.tools("Emulation.setDeviceMetricsOverride", &metrics).map(drop)
    }

    /// Light or dark.
    ///
    /// # Errors
    /// Where the browser refuses.
    pub fn scheme(&self, scheme: &str) -> Result<()> {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.tools("Emulation.setEmulatedMedia", &features).map(drop)
    }

    /// Writes what is seen as PNG.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn picture(&self, path: &Path) -> Result<()> {
        let png = self.tools("Page.captureScreenshot", &json!({ "format": "png" }))?;
        let png = from_base64(png["data"].as_str().context("no picture")?)?;
        fs::write(path, png).with_context(|| format!("cannot write {}", path.display()))
    }

    /// What the page has complained of since the last time: errors of scripts,
    /// and what its policy forbids.
    ///
    /// # Errors
    /// Where the driver does not tell.
    pub fn complaints(&self) -> Result<Vec<String>> {
        let log = self.ask("POST", "/se/log", &json!({ "type": "browser" }))?;
        let log = log.as_array().context("no log")?;
        let severe = log.iter().filter(|line| line["level"] == "SEVERE");
        Ok(severe.map(|line| line["message"].to_string()).collect())
    }

    fn find(&self, selector: &str) -> Result<String> {
        wait::until(selector, PATIENCE, || {
            let found = json!({ "using": "css selector", "value": selector });
            let found = self.ask("POST", "/elements", &found)?;
            Ok(found[0][ELEMENT].as_str().map(str::to_owned))
        })
    }

    fn tools(&self, command: &str, parameters: &Value) -> Result<Value> {
        self.ask("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        ask(self.lab, method, &format!("/session/{}{path}", self.session), body)
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        // Where it does not hear, the end of its driver ends it.
        let _ = self.ask("DELETE", "", &Value::Null);
    }
}

/// One request to the driver.
fn ask(lab: &Lab, method: &str, path: &str, body: &Value) -> Result<Value> {
    let url = format!("http://127.0.0.1:{PORT}{path}");
    let answer = lab.server().enter(|| {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(2 * PATIENCE))
            .build()
            .into();
        let answer = match method {
            "GET" => agent.get(&url).call(),
            "DELETE" => agent.delete(&url).call(),
            _ => agent.post(&url).send(body.to_string()),
        };
        let mut answer = answer.map_err(std::io::Error::other)?;
        answer
            .body_mut()
            .with_config()
            .limit(32 << 20)
            .read_to_string()
            .map_err(std::io::Error::other)
    });
    let mut answer: Value = serde_json::from_str(&answer?).context("the driver's answer")?;
    let value = answer["value"].take();
    ensure!(value["error"].is_null(), "{method} {path}: {}: {}", value["error"], value["message"]);
    Ok(value)
}

fn from_base64(text: &str) -> Result<Vec<u8>> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut bits) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let digit = DIGITS.iter().position(|digit| *digit == byte).context("no base64")?;
        word = word << 6 | u32::try_from(digit)?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(word >> bits & 0xff)?);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::from_base64;

    #[test]
    fn base64() {
        assert_eq!(from_base64("aGVsbG8=").unwrap(), b"hello");
        assert_eq!(from_base64("//79").unwrap(), [0xff, 0xfe, 0xfd]);
        assert!(from_base64("").unwrap().is_empty());
        assert!(from_base64("a b").is_err());
    }
}
