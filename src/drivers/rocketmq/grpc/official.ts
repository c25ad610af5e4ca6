import { Producer, type TopicRouteData } from 'rocketmq-client-nodejs';

export { SimpleConsumer } from 'rocketmq-client-nodejs';

/** The client keeps what it knows of routes to itself and to what is built on it. */
export class RoutingProducer extends Producer {
  async route(topic: string): Promise<TopicRouteData> {
    try {
      return await this.getRouteData(topic);
    } catch (error) {
      // It would ask for it again every 30 s for ever, and complain.
      this.topics.delete(topic);
      throw error;
    }
  }
}
