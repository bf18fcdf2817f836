import CredentialDigest
import CredentialModel
import TestSupport
import Testing

@testable import CredentialStore

@Suite struct `The trusted clock` {
    private func at(_ wall: Int64, _ boot: Int64) -> TrustedClock.Reading {
        TrustedClock.Reading(wall: wall, boot: boot)
    }

    @Test func `follows the wall clock while nobody sets it`() {
        let clock = TrustedClock(reading: at(1_000, 10))
        for second in Int64(0)..<100 { #expect(clock.now(at(1_000 + second, 10 + second)).rawValue == 1_000 + second) }
    }

    @Test func `continues when the wall clock is set back, so that what expired stays expired`() {
        let clock = TrustedClock(reading: at(1_000, 10))
        #expect(clock.now(at(1_100, 110)).rawValue == 1_100)
        #expect(clock.now(at(500, 111)).rawValue == 1_101)
        #expect(clock.now(at(600, 211)).rawValue == 1_201)
        #expect(clock.mark(at(600, 211)).rawValue == 1_201)
    }

    @Test func `accepts a correction of up to a minute and keeps it`() {
        let clock = TrustedClock(reading: at(1_000, 10))
        #expect(clock.now(at(1_060, 10)).rawValue == 1_060)
        #expect(!clock.isAhead(at(1_060, 10)))
        #expect(clock.now(at(1_000, 10)).rawValue == 1_060)
    }

    @Test func `follows a further step ahead only while it lasts`() {
        let clock = TrustedClock(reading: at(1_000, 10))
        let ahead = at(1_061, 10)
        #expect(clock.isAhead(ahead))
        #expect(clock.now(ahead).rawValue == 1_061)
        #expect(clock.mark(ahead).rawValue == 1_000)
        // After the clock was corrected, time is as before.
        #expect(clock.now(at(1_001, 11)).rawValue == 1_001)
        #expect(!clock.isAhead(at(1_001, 11)))
    }

    @Test func `starts at the time that an earlier run reached, if the wall clock is behind it`() {
        let clock = TrustedClock(mark: UnixSeconds(5_000), reading: at(1_000, 10))
        #expect(clock.now(at(1_001, 11)).rawValue == 5_001)
        #expect(TrustedClock(mark: UnixSeconds(500), reading: at(1_000, 10)).now(at(1_000, 10)).rawValue == 1_000)
    }

    @Test func `begins no earlier than the last commit, even if the wall clock was set back a day and no sweep ran`()
        async throws
    {
        let fixture = try Fixture()
        // As if the store had been created long ago: the next commits must store the mark.
        try await fixture.store.tamper { writer, transaction in
            try writer.setNumber(.time, 5, in: transaction)
        }
        let now = fixture.store.clock.now()
        let key = try await fixture.plant { $0.record.expiresAt = now }
        var options = fixture.options
        let current = TrustedClock.Reading.current
        let reading = TrustedClock.Reading(wall: current.wall - 86_400, boot: current.boot)
        options.reading = reading
        let again = try fixture.reopened(options: options)
        #expect(again.store.clock.now(reading) >= now)
        #expect(try again.verdict(key.secret, at: again.store.clock.now(reading)).reason == .expired)
    }

    @Test func `accepts impossible marks and readings without trapping`() {
        for (mark, isAhead) in [(UnixSeconds.never, false), (.latest, true), (UnixSeconds(.min), true)] {
            let clock = TrustedClock(mark: mark, reading: at(1_000, 10))
            #expect(clock.now(at(1_000, .max)).rawValue == 1_000)
            #expect(clock.isAhead(at(.max, 10)) == isAhead)
            #expect(clock.mark(at(0, 10)) == max(mark, UnixSeconds(1_000)))
            _ = clock.mark(at(.min, 10))
        }
    }
}
