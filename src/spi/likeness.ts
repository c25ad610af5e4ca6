/**
 * What of a record counts when it is compared with its copy on another cluster. Everything does but what a driver has to add, rename or leave out, which it says
 * here, so that the comparing needs to know nothing of brokers. Called for every property of every record: implementations make no strings.
 */
export interface Likeness {
  comparesProperty(bytes: Uint8Array, start: number, end: number): boolean;
}
