package dev.weft.core.cluster;

/**
 * Hosts of equal devices. Devices are numbered host by host.
 *
 * @param name for people
 * @param device what each can do
 * @param within the way from a device to another of its host
 * @param between the way from a host to another, which its devices share
 * @param overlaps whether collectives run beside computing; else devices do them themselves
 */
public record Cluster(
    String name,
    int hosts,
    int devicesPerHost,
    DeviceProfile device,
    Link within,
    Link between,
    boolean overlaps) {
  public Cluster {
    if (hosts < 1 || devicesPerHost < 1) {
      throw new UserException(
          "a cluster needs hosts and devices per host of at least 1, found "
              + hosts
              + " and "
              + devicesPerHost);
    }
  }

  public int devices() {
    return hosts * devicesPerHost;
  }

  /** The same with at least so many devices. */
  public Cluster withAtLeast(int count) {
    return count <= devices()
        ? this
        : new Cluster(name, hosts, Math.ceilDiv(count, hosts), device, within, between, overlaps);
  }

  /** The same with another number of hosts. */
  public Cluster withHosts(int count) {
    return new Cluster(name, count, devicesPerHost, device, within, between, overlaps);
  }

  /** The same with collectives that run beside computing. */
  public Cluster overlapping() {
    return new Cluster(name, hosts, devicesPerHost, device, within, between, true);
  }

  public int host(int device) {
    return device / devicesPerHost;
  }
}
