// Waits in line in an iOS or macOS app (Swift 5.7, iOS 15):
//
//     let line = Line { status in showPlace(status) }
//     let (data, response) = try await line.send(request)
//
// The place in line is a cookie. URLSession keeps it in HTTPCookieStorage, also when the app is closed.
import Foundation

struct LineStatus: Decodable {
    struct Wait: Decodable {
        let p50: Int
        let p90: Int
    }
    let state: String
    let room: String
    let position: Int?
    let etaSeconds: Wait?
    let pollAfterSeconds: Double?
    let message: String?
    let stock: Int?
    let paused: String?
    let opensAt: String?
}

/// The wait ended without an admission: sold out or closed for good.
struct LineOver: Error {
    let status: LineStatus
}

struct Line {
    var session = URLSession.shared
    let onStatus: (LineStatus) -> Void

    /// Sends a request; if it meets the line, waits and sends it once more, because the shop did not get it before.
    func send(_ request: URLRequest) async throws -> (Data, HTTPURLResponse) {
        var request = request
        request.setValue("application/json", forHTTPHeaderField: "Accept")
        let (data, response) = try await answer(request)
        guard let state = state(of: response), state != "admitted", let url = request.url else {
            return (data, response)
        }
        try await wait(try decoded(data), from: url)
        return try await answer(request)
    }

    private func wait(_ first: LineStatus, from url: URL) async throws {
        var status = first
        var failures = 0
        var address = URLComponents(url: url, resolvingAgainstBaseURL: true)!
        address.path = "/_stanchion/status"
        address.queryItems = [URLQueryItem(name: "room", value: first.room)]
        var poll = URLRequest(url: address.url!, cachePolicy: .reloadIgnoringLocalCacheData, timeoutInterval: 15)
        poll.setValue("application/json", forHTTPHeaderField: "Accept")
        while status.state != "admitted" {
            if failures == 0 { onStatus(status) }
            guard let after = status.pollAfterSeconds else { throw LineOver(status: status) }
            let least = failures > 0 ? min(60, pow(2, Double(failures))) : max(0.5, after)
            let pause = least + Double.random(in: 0...min(0.25, 0.03 * least))
            try await Task.sleep(nanoseconds: UInt64(pause * 1_000_000_000))
            do {
                let (data, response) = try await answer(poll)
                if response.statusCode == 404 { return }  // the room was removed
                failures = state(of: response) == nil ? failures + 1 : 0
                if failures == 0 { status = try decoded(data) }
            } catch let error as URLError where error.code != .cancelled {
                failures += 1
            }
        }
    }

    private func answer(_ request: URLRequest) async throws -> (Data, HTTPURLResponse) {
        let (data, response) = try await session.data(for: request)
        return (data, response as! HTTPURLResponse)
    }

    private func state(of response: HTTPURLResponse) -> String? {
        response.value(forHTTPHeaderField: "Stanchion-State")
    }

    private func decoded(_ data: Data) throws -> LineStatus {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(LineStatus.self, from: data)
    }
}
