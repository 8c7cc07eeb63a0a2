"""Passages for the grounded adapter: rules of shops, clubs and offices that do not exist.

No sentence and no value of the Larkspur handbook occurs here, so that nothing can be learnt by heart from it: the
answer has to be read in the passage. [[a|b|c]] are alternative values; each gives one item. `missing` is a question
on the same passage which it does not answer.
"""


def section(page, heading, text, questions, missing):
    return {"page": page, "heading": heading, "text": " ".join(text.split()), "questions": questions, "missing": missing}


SECTIONS = [
    section("kayaks.md", "Hiring a kayak", """
        Our boats can be hired from the jetty between May and September. A single kayak costs [[31 euros|43 euros|57 euros]] for
        half a day. The life vest is part of the price.""",
        ["What does half a day in a single kayak cost?", "How much is it to hire a boat for the morning?", "Price of one kayak?"],
        "How much is a kayak for two people?"),
    section("kayaks.md", "Deposit", """
        We ask for a deposit before you push off. It amounts to [[110 euros|145 euros|185 euros]] and is given back when the
        paddle is dry. Passports are not taken as security.""",
        ["How high is the deposit?", "What sum do I leave as security?", "Deposit before I push off?"],
        "What happens to my deposit if the paddle breaks?"),
    section("kayaks.md", "Lost paddles", """
        Paddles float and are usually found. If yours is gone, tell [[Marlene Voss|Tomas Reiter|Aiko Brandt]] at the boat house.
        She or he writes a note for the insurance.""",
        ["Whom do I tell about a lost paddle?", "Who is in charge when my paddle is gone?", "Name of the person at the boat house?"],
        "What does a new paddle cost?"),
    section("library.md", "Loan period", """
        Books are lent to everyone who lives in the town. You may keep a book for [[26 days|33 days|52 days]], and it can be
        renewed once. Atlases stay in the reading room.""",
        ["For how long can I borrow a book?", "How many days may I keep what I take home?", "When is a borrowed book due?"],
        "How long can I keep a film?"),
    section("library.md", "Late fees", """
        A reminder goes out when a book is overdue. The fee is [[35 cents|55 cents|85 cents]] a day for each book. Children
        never pay it.""",
        ["What is the daily late fee?", "I forgot my book. What do you charge each day?", "Fee for an overdue book?"],
        "From what total is a debt collected by the town?"),
    section("library.md", "Reading room", """
        The reading room lies above the archive. It seats [[37 readers|58 readers|74 readers]] and has a socket at each
        table. Talking is allowed in the hall only.""",
        ["How many readers fit in the reading room?", "What is the number of seats upstairs?", "Size of the reading room?"],
        "At what time does the reading room open?"),
    section("ferry.md", "Departure", """
        The island ferry leaves from the north pier. The last boat back sails at [[19:50|20:25|21:10]], also in winter. Be at
        the gate ten minutes before.""",
        ["When does the last ferry sail back?", "What is the latest boat that I can take home?", "Time of the last return?"],
        "When does the first boat leave in the morning?"),
    section("ferry.md", "Cars", """
        Cars are loaded at the stern. A car may be at most [[4.6 metres|5.1 metres|5.4 metres]] long, bumpers included.
        Camper vans need the Tuesday boat.""",
        ["How long may a car on the ferry be?", "What is the maximum length of my vehicle?", "Limit for cars?"],
        "How high may a van be?"),
    section("ferry.md", "Captain", """
        The boat has sailed under the same command for ten years. The captain is [[Olof Brekke|Rosa Tiedemann|Yusuf Kaya]], who
        likes to show the bridge to children. Ask before you climb up.""",
        ["What is the captain's name?", "Who commands the boat?", "Whom do I ask to see the bridge?"],
        "How long was the captain's training?"),
    section("pottery.md", "Courses", """
        The pottery course runs on six evenings. It takes place on [[Mondays|Wednesdays|Thursdays]], and the clay is provided.
        Wear old clothes.""",
        ["On which day is the pottery course?", "Which evening of the week do I have to keep free?", "Day of the course?"],
        "Who teaches the pottery course?"),
    section("pottery.md", "Glazes", """
        We mix our glazes ourselves. For mugs we use [[cobalt slip|ash glaze|tin white]], because it is safe for food. The
        kiln does the rest.""",
        ["Which glaze do you use for mugs?", "What are drinking cups coated with?", "Name the glaze that is safe for food."],
        "How hot does the kiln get?"),
    section("pottery.md", "Collecting your work", """
        Drying and firing take their time. Your pieces are ready after [[16 days|19 days|23 days]] and wait on the shelf by
        the door. Bring paper to wrap them.""",
        ["When are my pieces ready?", "How long until I can take my bowl home?", "Waiting time for fired work?"],
        "What do I pay for firing a large vase?"),
    section("garden.md", "Tree nursery", """
        Trees are dug out when they sleep. Apple trees are sold in [[January|November|December]] only, with bare roots.
        Soak them before planting.""",
        ["In which month are apple trees sold?", "When can I get something for my orchard?", "Month for bare-root apples?"],
        "How tall are the apple trees you sell?"),
    section("garden.md", "Guarantee on plants", """
        We want our plants to live. If one dies within [[20 months|22 months|26 months]], we replace it with the same kind. Drought
        is not covered.""",
        ["How long is the guarantee on plants?", "My shrub withered. Until when do you replace it?", "Months of cover for plants?"],
        "Who digs out the dead plant?"),
    section("garden.md", "Compost", """
        Our compost is sieved twice. A bag holds [[35 litres|55 litres|65 litres]] and can be carried by one person. Empty
        bags are taken back.""",
        ["How much compost is in a bag?", "What volume of compost do I carry home?", "Litres in one bag?"],
        "What does a bag of compost cost?"),
    section("cinema.md", "Tickets", """
        The village cinema is run by volunteers. A seat costs [[6.20 euros|7.40 euros|8.90 euros]] on every day but Friday.
        There is no advertising before the film.""",
        ["How much is a seat in the cinema?", "What do I pay to see a film with you?", "Ticket price?"],
        "What is the price on Fridays?"),
    section("cinema.md", "Projector", """
        We still show real film once a month. The old projector was built by [[Ostermann|Caldora|Vexler]] and runs on
        carbon arcs. You may look into the booth.""",
        ["Who built the old projector?", "Which firm made the machine in the booth?", "Maker of the projector?"],
        "In what year was the projector built?"),
    section("cinema.md", "Popcorn", """
        Popcorn is made in a pot behind the counter. It is seasoned with [[brown sugar|smoked salt|chilli butter]], following the
        recipe of the founder. Bring your own bowl if you like.""",
        ["What is the popcorn seasoned with?", "How does your popcorn taste, what is on it?", "Seasoning of the popcorn?"],
        "Is there a large size of popcorn, and what does it cost?"),
    section("pool.md", "Water", """
        The pool is heated by the sun on our roof. The water has [[23 degrees|26 degrees|29 degrees]] from June onwards. The
        small basin is warmer.""",
        ["How warm is the pool?", "Will I freeze in June, or what can I expect?", "Water temperature from June?"],
        "How deep is the pool?"),
    section("pool.md", "Season ticket", """
        Regular swimmers save with a season ticket. It is good for [[44 visits|56 visits|68 visits]] and may be shared in a family.
        Unused visits lapse in autumn.""",
        ["How many visits are on a season ticket?", "How often can our family swim with the card?", "Visits per season ticket?"],
        "How much does the season ticket cost?"),
    section("pool.md", "Lost property", """
        Towels pile up in our cupboard. Things that were found are kept in [[Room 4B|Room 2C|Room 6A]] behind the lockers.
        Jewellery goes to the town hall.""",
        ["Where are lost things kept?", "I forgot my goggles. Which room do I go to?", "Room for found towels?"],
        "Until when are lost things kept?"),
    section("choir.md", "Rehearsals", """
        Anyone who can hold a note is welcome. We rehearse in [[the fire station|the old dairy|the town mill]] and sing for
        an hour and a half. Tea is served afterwards.""",
        ["Where does the choir rehearse?", "To which place do I come if I want to sing?", "Place of the rehearsals?"],
        "Who conducts the choir?"),
    section("choir.md", "Membership", """
        Singing together costs little. Members pay [[53 euros|62 euros|77 euros]] a year, and families sing for the price of
        one. Scores are lent out.""",
        ["What is the yearly fee of the choir?", "How much would it cost me to join the singers?", "Membership per year?"],
        "How many members has the choir?"),
    section("choir.md", "Concert dress", """
        We do not wear robes. On stage everybody wears [[dark red|navy blue|charcoal grey]], shoes included. Scarves are up
        to you.""",
        ["What colour is worn on stage?", "How do I dress for a concert?", "Concert colour?"],
        "Where can I buy concert shoes?"),
    section("printing.md", "Business cards", """
        Cards are cut from cotton paper. The smallest batch is [[120 cards|160 cards|240 cards]], and proofs are sent by post.
        Rounded corners are possible.""",
        ["What is the smallest batch of cards?", "How few cards can I have printed?", "Minimum number of business cards?"],
        "How thick is the paper of the cards?"),
    section("printing.md", "Ink", """
        Our ink is cooked in the next village. It is based on [[walnut husks|linseed oil|soot and gum]] and needs a night to
        dry. Do not fold fresh prints.""",
        ["What is the ink based on?", "Which natural stuff is your ink made from?", "Base of the ink?"],
        "Who cooks the ink?"),
    section("printing.md", "Sending files", """
        We accept any common file format. Send your file to [[print@quillhouse.example|jobs@inkbarn.example|files@typeloft.example]]
        and name the paper. We answer on the same day.""",
        ["To which address do I send my file?", "I finished my flyer. Where should it go?", "Mail address for files?"],
        "How large may a file be?"),
    section("hostel.md", "Beds", """
        The hostel stands at the end of the valley road. A bed in the loft costs [[28 euros|34 euros|37 euros]] with breakfast.
        Sleeping bags are not allowed.""",
        ["What does a bed in the loft cost?", "How much do I pay for one night up under the roof?", "Bed and breakfast price?"],
        "What is the price of a private room?"),
    section("hostel.md", "Quiet hours", """
        Many guests rise before the sun. The house is quiet from [[21:30|22:15|22:45]] until breakfast. The kitchen is closed
        then as well.""",
        ["From what time is the house quiet?", "When do we have to stop playing cards aloud?", "Start of quiet hours?"],
        "At what time is breakfast?"),
    section("hostel.md", "Hut warden", """
        Somebody is always in. The warden is called [[Greta Lunde|Piet Molenaar|Samira Haddad]] and lives on the ground floor.
        Knock loudly.""",
        ["What is the warden called?", "Whom do I wake if the pipe bursts?", "Name of the warden?"],
        "How old is the hut?"),
    section("clocks.md", "Repairing a clock", """
        Old clocks come to us from far away. A full cleaning takes [[11 weeks|13 weeks|16 weeks]], because parts are made by hand.
        You get a photo of each step.""",
        ["How long does a full cleaning of a clock take?", "When will my grandfather clock be back?", "Weeks for a cleaning?"],
        "What does the cleaning of a clock cost?"),
    section("clocks.md", "Oil", """
        Too much oil ruins a movement. We put [[two drops|four drops|six drops]] on each bearing and no more. Cooking oil is
        poison for clocks.""",
        ["How many drops of oil go on a bearing?", "What amount do you use when oiling a movement?", "Oil per bearing?"],
        "How often should a clock be oiled?"),
    section("clocks.md", "Guarantee on repairs", """
        A repaired clock should run. If it stops within [[15 months|21 months|28 months]], we mend it for nothing. Falls are
        excluded.""",
        ["How long is a repair guaranteed?", "My clock stopped again. How long is mending free?", "Months of guarantee on a repair?"],
        "Is postage paid when a repaired clock stops?"),
    section("honey.md", "Jars", """
        We fill honey into jars of one size. A jar holds [[320 grams|410 grams|460 grams]] and has a paper seal. Return empty
        jars to the stall.""",
        ["How much honey is in a jar?", "What weight of honey do I get?", "Contents of one jar?"],
        "How much is the deposit on a jar?"),
    section("honey.md", "Where the bees live", """
        Our bees are on holiday in summer. From July they stand in [[Eskdale|Torrin|Hallbach]], where the heather blooms. Visitors
        should wear light colours.""",
        ["Where are the bees from July?", "At what place would I find your hives in summer?", "Summer home of the bees?"],
        "How many hives do you own?"),
    section("honey.md", "Adopting a hive", """
        You can adopt a hive and name it. A share costs [[88 euros|99 euros|132 euros]] a year and brings you six jars. Stings
        are free.""",
        ["What does it cost to adopt a hive?", "How much is a bee sponsorship per year?", "Price of a share?"],
        "Can I end the adoption before a year is over?"),
    section("theatre.md", "Booking by phone", """
        Seats can be kept for you. Ring [[0700 118 204|0700 431 990|0700 662 357]] in the afternoon and spell your name. Tickets wait
        at the door.""",
        ["Which number do I ring to book a seat?", "How can I have a ticket put aside by phone?", "Booking number?"],
        "How many tickets may I book at once?"),
    section("theatre.md", "Latecomers", """
        Doors shut when the lights go down. Latecomers are let in after [[Act One|the overture|the first song]] by the side
        stairs. Please take off noisy shoes.""",
        ["When are latecomers let in?", "I am stuck in traffic. From which moment can I still get in?", "Entry for late guests after what?"],
        "Do latecomers get some of the price back?"),
    section("theatre.md", "School groups", """
        Classes are dear to us. A group needs at least [[13 pupils|16 pupils|24 pupils]] for the low price. Teachers sit in row
        three.""",
        ["How many pupils make a group?", "We are a small class. What is the least number for a cheap visit?", "Minimum for school groups?"],
        "How much does a pupil pay?"),
    section("bakery.md", "Day-old bread", """
        We throw nothing away. Bread from the day before is sold at [[35 percent|45 percent|55 percent]] off until it is gone. Cakes
        go to the kitchen for the homeless.""",
        ["How much is taken off bread from the day before?", "What do I save on yesterday's loaf?", "Reduction on old bread?"],
        "At what time is the bread of the day before sold out?"),
    section("bakery.md", "Sourdough", """
        Our starter is older than the shop. It is called [[Hermann|Old Gus|Frieda]] and is fed at dawn. You may take a spoonful
        home.""",
        ["What is the sourdough starter called?", "Which name did you give the thing that makes your bread rise?", "Name of the starter?"],
        "What is the sourdough starter fed with?"),
    section("bakery.md", "Wedding cakes", """
        Cakes with more than two tiers are planned together. Please order at least [[17 days|24 days|29 days]] ahead. Marzipan roses
        are made on request.""",
        ["How far ahead must a wedding cake be ordered?", "We marry soon. What notice do you need for the cake?", "Days of notice for tiers?"],
        "Which of your cakes is the most expensive?"),
]
