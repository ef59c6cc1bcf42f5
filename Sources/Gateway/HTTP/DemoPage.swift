import NIOCore
import NIOHTTP1

/// The page that shows notifications arriving, for `tocsin dev` and the compose file (`gateway.demo_page`).
enum DemoPage {
    static var response: HTTPAnswer {
        HTTPAnswer(
            status: .ok,
            headers: [
                ("Cache-Control", "no-store"),
                (
                    "Content-Security-Policy",
                    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self' ws: wss:"
                ),
            ],
            contentType: "text/html; charset=utf-8", body: ByteBuffer(bytes: PackageResources.demo_html))
    }
}
