import NIOCore
import NIOHTTP1

/// The page that shows notifications as they arrive, for `tocsin dev` and the compose file (`gateway.demo_page`).
enum DemoPage {
    /// - Parameter command: the command that sends, up to the group's name. Shown verbatim, for copying.
    static func response(command: String) -> HTTPAnswer {
        let page = String(decoding: PackageResources.demo_html, as: UTF8.self)
            .replacing("{{command}}", with: attribute(command))
        return HTTPAnswer(
            status: .ok,
            headers: [
                ("Cache-Control", "no-store"),
                (
                    "Content-Security-Policy",
                    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self' ws: wss:"
                ),
            ],
            contentType: "text/html; charset=utf-8", body: ByteBuffer(string: page))
    }

    /// Escapes text for an attribute value in double quotes.
    private static func attribute(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("\"", with: "&quot;").replacing("<", with: "&lt;")
    }
}
