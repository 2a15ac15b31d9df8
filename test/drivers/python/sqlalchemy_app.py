"""SQLAlchemy: reflection, Core, ORM with relationships, bulk writes, savepoints, over psycopg 2 and asyncpg."""

import asyncio
import datetime
import decimal
import enum
import uuid

from sqlalchemy import (
    BigInteger, Column, Date, DateTime, Enum, ForeignKey, Integer, LargeBinary, MetaData, Numeric, String,
    Table, bindparam, create_engine, delete, func, insert, inspect, select, text, update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID, insert as upsert
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, declarative_base, joinedload, relationship, selectinload
from transcript import URL, attempt, finish, say


Base = declarative_base()


class Level(enum.Enum):
    low = "low"
    high = "high"


class Country(Base):
    __tablename__ = "countries"
    code = Column(String(2), primary_key=True)
    name = Column(String, nullable=False)


class Customer(Base):
    __tablename__ = "customers"
    id = Column(BigInteger, primary_key=True, autoincrement=False)
    name = Column(String(40), nullable=False, index=True)
    country_code = Column(ForeignKey("countries.code"))
    born = Column(Date)
    seen = Column(DateTime(timezone=True))
    balance = Column(Numeric(12, 2), server_default="0")
    token = Column(UUID(as_uuid=True))
    photo = Column(LargeBinary)
    tags = Column(ARRAY(String))
    data = Column(JSONB)
    level = Column(Enum(Level, name="level"))
    version = Column(Integer, nullable=False)
    country = relationship(Country)
    orders = relationship("Order", order_by="Order.id", back_populates="customer", cascade="all, delete-orphan")
    __mapper_args__ = {"version_id_col": version}


class Order(Base):
    __tablename__ = "orders"
    customer_id = Column(ForeignKey("customers.id", ondelete="CASCADE"), primary_key=True)
    id = Column(BigInteger, primary_key=True, autoincrement=False)
    item = Column(String)
    amount = Column(Numeric(10, 2))
    customer = relationship(Customer, back_populates="orders")


class Note(Base):
    __tablename__ = "notes"
    id = Column(Integer, primary_key=True)
    body = Column(String, unique=True)
    at = Column(DateTime(timezone=True), server_default=func.now())


def customer(key):
    return Customer(
        id=key,
        name=f"name {key}",
        country_code="de" if key % 2 else "fr",
        born=datetime.date(1970, 1, key),
        seen=datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc),
        balance=decimal.Decimal(key) * 3 / 2,
        token=uuid.UUID(int=key),
        photo=b"\0\xff" * key,
        tags=["x", str(key)],
        data={"key": key, "nested": {"list": [1, None]}},
        level=Level.high if key % 3 == 0 else Level.low,
    )


def schema(engine):
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    Base.metadata.create_all(engine)
    inspector = inspect(engine)
    say("tables", sorted(inspector.get_table_names()))
    for name in ["countries", "customers", "notes", "orders"]:
        say(name, [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(name)])
        say(f"{name} key", inspector.get_pk_constraint(name))
        say(f"{name} foreign", inspector.get_foreign_keys(name))
        say(f"{name} indexes", inspector.get_indexes(name))
    reflected = Table("orders", MetaData(), autoload_with=engine)
    say("reflected", [str(c) for c in reflected.columns])


def writes(engine):
    with Session(engine) as session:
        session.add_all([Country(code="de", name="Germany"), Country(code="fr", name="France")])
        session.flush()
        session.add_all([customer(key) for key in range(1, 13)])
        session.commit()
        say("count", session.scalar(select(func.count()).select_from(Customer)))
        one = session.get(Customer, 4)
        say("one", (one.name, one.balance, one.token, one.photo, one.tags, one.data, one.level, one.country.name))
        one.name = "changed"
        one.orders = [Order(id=n, item=f"item {n}", amount=decimal.Decimal(n)) for n in (1, 2, 3)]
        session.commit()
        say("version", (one.version, [order.item for order in one.orders]))
        one.orders.pop()
        session.commit()
        say("left", session.scalar(select(func.count()).where(Order.customer_id == 4)))
        note = Note(body="first")
        session.add(note)
        session.commit()
        say("serial", (note.id, note.at is not None))
    with Session(engine) as session:
        for key in (5, 6, 7):
            owner = session.get(Customer, key)
            owner.orders.append(Order(id=9, item="nine", amount=9))
        session.commit()


def bulk(engine):
    with engine.begin() as connection:
        rows = [{"id": n, "customer_id": c, "item": "bulk", "amount": n} for c in range(1, 13) for n in (20, 21)]
        connection.execute(insert(Order), rows)
        say("bulk", connection.scalar(select(func.count()).select_from(Order)))
        statement = update(Order).where(Order.customer_id == bindparam("c"), Order.id == 20).values(item=bindparam("i"))
        connection.execute(statement, [{"c": c, "i": f"new {c}"} for c in range(1, 13)])
        done = connection.execute(upsert(Customer).values(id=3, name="x", version=1).on_conflict_do_update(
            index_elements=["id"], set_={"name": "upserted"}).returning(Customer.id, Customer.name))
        say("upsert", done.all())
        say("deleted", connection.execute(delete(Order).where(Order.amount == 21)).rowcount)


def bulk_returning(engine):
    with Session(engine) as session:
        notes = [Note(body=f"note {n}") for n in range(5)]
        session.add_all(notes)
        session.commit()
        say("ids", sorted(note.id for note in notes))
        done = session.execute(insert(Order).values(
            [{"id": 40, "customer_id": c, "item": "r", "amount": c} for c in range(1, 9)]).returning(Order.customer_id))
        say("returned", sorted(row[0] for row in done))
        session.commit()


def queries(engine):
    with Session(engine) as session:
        rows = session.execute(select(Customer.id, Customer.name).order_by(Customer.name.desc(), Customer.id).limit(3))
        say("ordered", rows.all())
        total = func.sum(Order.amount).label("total")
        say("report", session.execute(
            select(Country.name, func.count(Order.id), total).join(Customer, Customer.country_code == Country.code)
            .join(Order, Order.customer_id == Customer.id).group_by(Country.name).having(total > 1)
            .order_by(total.desc())).all())
        loaded = session.scalars(select(Customer).options(selectinload(Customer.orders), joinedload(Customer.country))
                                 .where(Customer.id.in_([4, 5, 6, 7])).order_by(Customer.id)).all()
        say("eager", [(c.id, c.country.name, [o.id for o in c.orders]) for c in loaded])
        say("exists", session.scalars(select(Customer.id).where(Customer.orders.any(Order.item == "nine"))
                                      .order_by(Customer.id)).all())
        ranked = select(Customer.id, func.rank().over(partition_by=Customer.country_code,
                                                      order_by=Customer.balance.desc()).label("r")).subquery()
        say("window", session.execute(select(ranked).where(ranked.c.r <= 2).order_by(ranked.c.id)).all())
        say("json", session.scalars(select(Customer.id).where(Customer.data["key"].as_integer() > 9)
                                    .order_by(Customer.id)).all())
        say("array", session.scalars(select(Customer.id).where(Customer.tags.contains(["3"]))).all())
        say("enum", session.execute(select(Customer.level, func.count()).group_by(Customer.level)
                                    .order_by(Customer.level)).all())
        say("like", session.scalars(select(Customer.id).where(Customer.name.ilike("NAME 1%")).order_by(Customer.id)).all())
        say("page", session.scalars(select(Customer.id).order_by(Customer.id).offset(5).limit(4)).all())
        say("text", session.execute(text("SELECT count(*) FROM orders WHERE amount > :a"), {"a": 5}).scalar())
        locked = session.scalars(select(Customer).where(Customer.id == 8).with_for_update()).one()
        say("locked", locked.id)
        say("case", session.execute(select(func.coalesce(Customer.country_code, "?"), func.max(Customer.born))
                                    .group_by(Customer.country_code).order_by(Customer.country_code)).all())
        session.rollback()


def errors(engine):
    with Session(engine) as session:
        session.add(customer(1))
        try:
            session.commit()
        except IntegrityError as error:
            say("double", (type(error.orig).__name__, str(error.orig).splitlines()[:1]))
            session.rollback()
        with session.begin_nested():
            session.execute(update(Customer).where(Customer.id == 2).values(name="kept", version=Customer.version))
        try:
            with session.begin_nested():
                session.execute(text("INSERT INTO customers (id, name, version) VALUES (2, 'x', 1)"))
        except IntegrityError:
            say("savepoint", session.scalar(select(Customer.name).where(Customer.id == 2)))
        session.commit()
        try:
            session.execute(text("SELECT nope FROM customers"))
        except DBAPIError as error:
            say("column", getattr(error.orig, "pgcode", None) or getattr(error.orig, "sqlstate", None))
        session.rollback()
        session.delete(session.get(Customer, 12))
        session.commit()
        say("cascade", session.scalar(select(func.count()).where(Order.customer_id == 12)))


def isolation(engine):
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        say("isolation", connection.get_isolation_level())
        say("repeatable", connection.scalar(select(Customer.name).where(Customer.id == 3)))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        say("autocommit", connection.execute(text("UPDATE customers SET born = NULL WHERE id < 4")).rowcount)


def streaming(engine):
    with engine.connect() as connection:
        result = connection.execution_options(yield_per=4).execute(select(Customer.id).order_by(Customer.id))
        say("partitions", [[row.id for row in part] for part in result.partitions()])


async def asynchronous(url):
    engine = create_async_engine(url)
    async with AsyncSession(engine) as session:
        rows = await session.execute(select(Customer.id, Customer.level, Customer.tags).order_by(Customer.id).limit(3))
        say("async", rows.all())
        session.add_all([Order(customer_id=c, id=70, item="async", amount=7) for c in (1, 2, 3)])
        await session.commit()
        say("async count", await session.scalar(select(func.count()).where(Order.id == 70)))
    async with engine.connect() as connection:
        result = await connection.stream(select(Customer.id).where(Customer.id == 3))
        say("async stream", [row.id async for row in result])
    await engine.dispose()


def main():
    engine = create_engine(URL.replace("postgres://", "postgresql+psycopg2://"), pool_size=2)
    for step in [schema, writes, bulk, bulk_returning, queries, errors, isolation, streaming]:
        attempt(step, engine)
    engine.dispose()
    attempt(asyncio.run, asynchronous(URL.replace("postgres://", "postgresql+asyncpg://")))
    engine = create_engine(URL.replace("postgres://", "postgresql+psycopg2://"))
    Base.metadata.drop_all(engine)
    finish()


main()
