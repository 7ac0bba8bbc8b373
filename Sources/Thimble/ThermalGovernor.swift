//! Sparing a machine: a generation waits while a sensor says that it is too hot or takes too much power.

internal import Glibc
internal import HostSystem
public import Memory

/// What is watched, and the values that are not to be passed.
///
/// The files are the kernel's: a thermal zone's `temp` in thousandths of a degree Celsius, a power sensor's
/// in microwatts (Documentation/driver-api/thermal/sysfs-api.rst, Documentation/hwmon/sysfs-interface.rst).
public struct ThermalGovernor: Sendable {
    /// A file with a number, and the number that is not to be passed.
    struct Sensor: Sendable {
        let path: String
        let ceiling: Double
        /// What a number of the file is multiplied by.
        let scale: Double

        /// The value now; nil where the file cannot be read, or holds no number.
        var value: Double? {
            guard let text = SystemText.contents(of: path) else { return nil }
            return text.split(whereSeparator: \.isWhitespace).first.flatMap { Double($0) }.map { $0 * scale }
        }
    }

    let sensors: [Sensor]
    /// How often the sensors are looked at: they change within seconds.
    let interval: Duration

    /// Nil where the budget names no ceiling. Throws `inputMissing` where a sensor that it names does not
    /// tell a number: a ceiling that nobody holds would be worse than none.
    public init?(_ thermal: Budget.Thermal, interval: Duration = .milliseconds(500)) throws(ThimbleError) {
        var sensors: [Sensor] = []
        if let zone = thermal.zone, let ceiling = thermal.ceilingCelsius {
            sensors.append(Sensor(path: zone + "/temp", ceiling: ceiling, scale: 1e-3))
        }
        if let file = thermal.powerFile, let ceiling = thermal.ceilingWatts {
            sensors.append(Sensor(path: file, ceiling: ceiling, scale: 1e-6))
        }
        if sensors.isEmpty { return nil }
        try self.init(sensors: sensors, interval: interval)
    }

    init(sensors: [Sensor], interval: Duration) throws(ThimbleError) {
        for sensor in sensors where sensor.value == nil {
            throw ThimbleError(
                .inputMissing,
                "\(sensor.path): no sensor tells a number there; correct [thermal] in the budget, or leave "
                    + "it out")
        }
        self.sensors = sensors
        self.interval = interval
    }

    /// Whether a sensor is above its ceiling now. One that no longer tells is taken to be.
    var isExceeded: Bool { sensors.contains { $0.value ?? .infinity > $0.ceiling } }
}

/// A governor at work: asks the sensors from time to time, and waits while they are above.
struct ThermalWatch {
    private let governor: ThermalGovernor
    private var nextLook: Moment

    init(_ governor: ThermalGovernor) {
        self.governor = governor
        nextLook = Moment.now
    }

    /// Returns when work may go on, or `shouldStop` says so.
    mutating func wait(_ shouldStop: () -> Bool) {
        if Moment.now < nextLook { return }
        while governor.isExceeded, !shouldStop() { Self.sleep(governor.interval) }
        nextLook = Moment.now + governor.interval
    }

    private static func sleep(_ duration: Duration) {
        var time = timespec(
            tv_sec: Int(duration.components.seconds),
            tv_nsec: Int(duration.components.attoseconds / 1_000_000_000))
        unsafe nanosleep(&time, nil)
    }
}
