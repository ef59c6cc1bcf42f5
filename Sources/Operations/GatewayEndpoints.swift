import Broker
import NIOHTTP1

/// `/v1/gateways`: the living gateways.
enum GatewayEndpoints {
    static func all(_ administration: any Administration) -> [AdminEndpoint] {
        [
            AdminEndpoint(
                .GET, "/v1/gateways", "the gateways that are alive", .api,
                .later { _ in
                    do throws(BackplaneError) {
                        let gateways = try await administration.gateways()
                        return .json(.ok) { json in
                            json.array("gateways") { json in
                                for gateway in gateways { json.object(gateway.write) }
                            }
                        }
                    } catch {
                        return .error(error)
                    }
                })
        ]
    }
}
