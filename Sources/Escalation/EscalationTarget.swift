public import NIOCore

/// Where escalations are sent: one entry of `escalations:`.
public enum EscalationTarget: Sendable {
    /// The operator's site, which is posted the JSON body and a signature.
    case webhook(Webhook)
    /// The push services of browsers, which take encrypted messages for subscriptions.
    case webPush(WebPush)

    public struct Webhook: Sendable {
        /// `http://` or `https://`, of any host: the operator has chosen it.
        public var url: WebhookURL
        /// The first signs, and so do the others: a receiver may know any of them while a secret is being replaced.
        public var secrets: [WebhookSecret]
        /// Requests at the same time.
        public var maxInFlight: Int
        /// For name resolution, connection and response together.
        public var timeout: TimeAmount

        public init(url: WebhookURL, secrets: [WebhookSecret], maxInFlight: Int = 8, timeout: TimeAmount = .seconds(10))
        {
            self.url = url
            self.secrets = secrets
            self.maxInFlight = maxInFlight
            self.timeout = timeout
        }
    }

    public struct WebPush: Sendable {
        /// Signs the gateway's requests; browsers subscribe with its public part.
        public var key: VAPIDKey
        /// The contact address for operators of push services: `mailto:` or `https:`.
        public var subject: VAPIDSubject
        /// Requests at the same time, of which one push service gets at most half.
        public var maxInFlight: Int
        /// For name resolution, connection and response together.
        public var timeout: TimeAmount

        public init(
            key: VAPIDKey, subject: VAPIDSubject, maxInFlight: Int = 8, timeout: TimeAmount = .seconds(10)
        ) {
            self.key = key
            self.subject = subject
            self.maxInFlight = maxInFlight
            self.timeout = timeout
        }
    }

    var maxInFlight: Int {
        switch self {
        case .webhook(let webhook): max(webhook.maxInFlight, 1)
        case .webPush(let push): max(push.maxInFlight, 1)
        }
    }

    /// How many requests one origin gets at the same time. A push service that hangs leaves the other half to the others.
    var maxInFlightPerOrigin: Int {
        switch self {
        case .webhook: maxInFlight
        case .webPush: max(maxInFlight / 2, 1)
        }
    }

    var timeout: TimeAmount {
        switch self {
        case .webhook(let webhook): webhook.timeout
        case .webPush(let push): push.timeout
        }
    }
}
