@testable import DataPlane
import HTTPWire

// In a separate file, because both planes have a `Route`.

/// One route of the data plane, in the terms of the OpenAPI document.
struct DataPlaneRoute {
    let path: String
    let method: String
    let takesAnyMethod: Bool
    let right: String?
    /// Of the body.
    let mediaType: String?

    /// The routes of all kinds of listeners. A listener that authorizes every path has no path of its own.
    static var all: [DataPlaneRoute] {
        let routes = [false, true].flatMap { Route.all(healthOnly: $0, authorizationOnly: false) }
        var seen: Set<String> = []
        return routes.map(DataPlaneRoute.init).filter { seen.insert($0.path).inserted }
    }

    private init(_ route: Route) {
        let path = "\(route.path)"
        self.path = path == "/ext_authz/" ? path + "{policy}/{path}" : path
        let methods = Method.allCases.filter { route.methods.contains($0) }
        takesAnyMethod = methods.count == Method.allCases.count
        // Every GET route answers HEAD.
        method = methods.filter { $0 != .head }.map { "\($0)".uppercased() }.joined(separator: ", ")
        if case .holders(let right) = route.callers {
            self.right = String(decoding: right.scope, as: UTF8.self)
        } else {
            right = nil
        }
        mediaType =
            switch route.body {
            case nil: nil
            case .form: "application/x-www-form-urlencoded"
            case .json: "application/json"
            case .other: "*/*"
            }
    }
}
