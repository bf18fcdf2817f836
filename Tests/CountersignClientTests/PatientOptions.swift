import CountersignClient

extension ClientOptions {
    /// For tests that are not about time: many run beside each other on few processors.
    static func patient(endpoint: Endpoint, credentials: ClientCredentials? = nil) -> ClientOptions {
        var options = ClientOptions(endpoint: endpoint, credentials: credentials)
        options.deadline = .seconds(60)
        return options
    }
}
