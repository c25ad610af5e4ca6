/** Reads the schemas of a topic's records: a broker knows them by versions that mean nothing in another cluster. */
export interface SchemaReader {
  /**
   * The schema as the source's registry holds it, which only a sink of the same kind understands; `undefined` when there is none of this version. Rejects when the
   * source does not answer.
   */
  schemaOf(version: Uint8Array): Promise<Uint8Array | undefined>;
}
